"""Routes by which users upload files: as a body, or by a form; and what became of a file."""

from __future__ import annotations

import asyncio
import builtins
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from toril import App, MissingExtraError
from toril.services.media.file_records import MemoryFileRecords
from toril.services.media.uploads import Uploads
from toril.services.objects.memory import MemoryObjects
from toril.web import upload_routes
from toril.web.problems import Problem
from toril.web.serving import HttpServer
from toril.web.site import site
from toril.web.upload_routes import FORM_BYTES, Uploaded, file_route, processing, upload_route

MOST = 200_000
JO = {"x-user": "jo"}


class Place:
    """Where uploads go, and a client."""

    def __init__(self, app: App) -> None:
        self.objects = MemoryObjects()
        self.records = MemoryFileRecords()
        self.seen: list[Uploaded] = []
        self.app = app
        uploads = Uploads(self.objects, self.records)
        self.routes = [
            upload_route("/upload", uploads, self.then, user_of=user_of, max_bytes=MOST),
            file_route(self.records, user_of=user_of),
        ]
        self.http: httpx2.AsyncClient

    async def then(self, file: Uploaded) -> dict[str, Any]:
        """Have it worked on."""
        self.seen.append(file)
        job = await self.app.queue("files").add("work", {"fileId": file.file_id})
        return processing(job)

    async def content(self, file_id: str) -> tuple[bytes, str]:
        """Return what is stored of a file, and its type."""
        async with await self.objects.get(f"uploads/{file_id}") as stream:
            return await stream.read(MOST), stream.info.content_type


async def user_of(request: Request) -> str:
    """Return who asks."""
    user = request.headers.get("x-user", "")
    if not user:
        raise Problem(401, "unauthenticated", "say who you are by X-User")
    return user


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A server of these routes."""
    place = Place(App(f"sqlite:///{tmp_path}/toril.db"))
    server = HttpServer(site(place.app, place.routes), host="127.0.0.1", port=0)
    await server.start()
    try:
        async with httpx2.AsyncClient(base_url=server.url, headers=JO) as place.http:
            yield place
    finally:
        await server.stop()


async def test_body_is_a_file(place: Place) -> None:
    answer = await place.http.post(
        "/upload", content=b"\x89PNG", headers={"content-type": "image/png"}
    )

    body = answer.json()
    assert answer.status_code == 201
    file_id = body["fileId"]
    assert body == {
        "fileId": file_id, "url": f"/uploads/{file_id}", "fileSize": 4, "fileType": "image/png",
        "processing": {"jobId": "1", "status": "queued"},
    }  # fmt: skip
    assert await place.content(file_id) == (b"\x89PNG", "image/png")
    record = await place.records.find(file_id)
    assert record is not None
    assert (record.path, record.processed) == (f"uploads/{file_id}", False)
    assert place.seen == [
        Uploaded(user="jo", file_id=file_id, path=f"/uploads/{file_id}", size_bytes=4,
                 content_type="image/png", name=None)
    ]  # fmt: skip


async def test_file_of_a_form_comes_with_its_name(place: Place) -> None:
    """A curl -F, or a page's form: other fields may stand beside it."""
    content = b"x" * 100_000 + b"\r\n--"
    answer = await place.http.post(
        "/upload",
        data={"roomId": "r1"},
        files={"picture": ("a b/../c.png", content, "image/png")},
    )

    body = answer.json()
    assert answer.status_code == 201
    assert (body["fileName"], body["fileSize"]) == ("a b/../c.png", len(content))
    assert body["fileType"] == "image/png"
    assert body["url"] == f"/uploads/{body['fileId']}"
    assert await place.content(body["fileId"]) == (content, "image/png")
    assert place.seen[0].name == "a b/../c.png"


async def test_largest_file_is_taken_and_one_byte_more_is_not(place: Place) -> None:
    """As a body and by a form; a body without end is not read to its end."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * MOST

    good = [
        await place.http.post("/upload", content=b"x" * MOST),
        await place.http.post("/upload", files={"file": b"x" * MOST}),
    ]
    bad = [
        await place.http.post("/upload", content=b"x" * (MOST + 1)),
        await place.http.post("/upload", files={"file": b"x" * (MOST + 1)}),
        await place.http.post("/upload", files={"file": b"x" * (MOST + FORM_BYTES)}),
    ]
    with_end = 0
    try:
        bad.append(await place.http.post("/upload", content=endless()))
    except httpx2.HTTPError:  # it hangs up, as there is more to come
        with_end = 1

    assert [one.status_code for one in good] == [201, 201]
    assert {one.status_code for one in bad} == {413}
    assert len(bad) + with_end == 4
    assert bad[0].json()["error"]["message"].startswith("the file is larger than 200,000 bytes")
    assert len(place.seen) == 2


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b"", "image/png", 422, "empty_file"),
        (b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 422, "empty_file"),
        (b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nno file\r\n--x--\r\n',
         "multipart/form-data; boundary=x", 422, "no_file"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "no_file"),
        (b"no form at all", "multipart/form-data; boundary=x", 400, "not_a_form"),
        (b"--x--\r\n", "multipart/form-data", 400, "not_a_form"),
        (2 * b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nb\r\n'
         + b"--x--\r\n", "Multipart/Form-Data; boundary=x", 400, "not_a_form"),
    ],
)  # fmt: skip
async def test_what_is_no_file_is_refused(
    place: Place, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = await place.http.post("/upload", content=content, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]
    assert place.seen == []
    assert place.records.records == {}


async def test_slow_caller_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_routes, "READ_S", 0.05)
    url = place.http.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /upload HTTP/1.1\r\nhost: x\r\nx-user: jo\r\ncontent-length: 5\r\n\r\nhalf")
    told = await reader.readuntil(b"}}")
    writer.close()
    await writer.wait_closed()

    assert told.startswith(b"HTTP/1.1 408")
    assert b"body_too_slow" in told


async def test_file_tells_what_became_of_it(place: Place) -> None:
    file_id = (await place.http.post("/upload", content=b"x")).json()["fileId"]
    before = await place.http.get(f"/api/files/{file_id}")
    await place.records.save_processed(file_id, {"compressedUrl": "/c.jpg"})
    after = await place.http.get(f"/api/files/{file_id}")
    none = await place.http.get("/api/files/none")

    assert before.json() == {"fileId": file_id, "processed": False}
    assert after.json() == {"fileId": file_id, "processed": True, "compressedUrl": "/c.jpg"}
    assert none.status_code == 404
    assert "'none'" in none.json()["error"]["message"]


async def test_nobody_uploads_or_sees_files(place: Place) -> None:
    nobody = {"x-user": ""}
    answers = [
        await place.http.post("/upload", content=b"x", headers=nobody),
        await place.http.get("/api/files/none", headers=nobody),
    ]

    assert [one.status_code for one in answers] == [401, 401]
    assert place.seen == []


async def test_missing_package_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "python_multipart":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.delitem(sys.modules, "python_multipart", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(MissingExtraError, match=r"python-multipart.*\[web\]"):
        Place(App(f"sqlite:///{tmp_path}/toril.db"))
