from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from toril.core.errors import InvalidOptionError
from toril.services.objects.folder import FolderObjects
from toril.services.objects.links import Links
from toril.services.objects.memory import MemoryObjects
from toril.services.objects.serving import LinkedStore, link_app
from toril.testing.clock import ManualClock

SECRET = b"0123456789abcdef"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> LinkedStore:
    links = Links([SECRET], clock=clock)
    if request.param == "folder":
        return FolderObjects(tmp_path / "objects", links=links)
    return MemoryObjects(links=links)


@pytest.fixture
def ask(store: LinkedStore) -> Callable[..., httpx2.AsyncClient]:
    app = Starlette(routes=[Mount("/files", link_app(store))])
    transport = httpx2.ASGITransport(app)
    return lambda: httpx2.AsyncClient(transport=transport, base_url="http://test")


async def get(
    ask: Callable[..., httpx2.AsyncClient],
    url: str,
    method: str = "GET",
    **headers: str,
) -> httpx2.Response:
    async with ask() as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, url, headers=named)


async def test_link_gives_the_object_to_anybody(
    store: LinkedStore, ask: Callable[..., httpx2.AsyncClient]
) -> None:
    await store.put("a b/ü+#.txt", b"hello", content_type="text/plain", filename="ü")
    url = await store.link("a b/ü+#.txt", expires_s=60)

    answer = await get(ask, url)

    assert (answer.status_code, answer.content) == (200, b"hello")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["content-length"] == "5"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    head = await get(ask, url, "HEAD")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "5")
    again = await get(ask, url, if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("key", "content_type", "filename", "expected"),
    [
        ("a.png", None, None, "inline"),
        ("a.txt", None, None, "inline"),
        ("a.mp4", None, None, "inline"),
        ("a.html", None, None, "attachment; filename=\"a.html\"; filename*=UTF-8''a.html"),
        ("d/a.svg", None, None, "attachment; filename=\"a.svg\"; filename*=UTF-8''a.svg"),
        ("x", "text/html", None, "attachment; filename=\"x\"; filename*=UTF-8''x"),
        ("x", "image/pngx", None, "attachment; filename=\"x\"; filename*=UTF-8''x"),
        ('q"\u00fc', None, None, "attachment; filename=\"q__\"; filename*=UTF-8''q%22%C3%BC"),
        (
            "x",
            "image/png",
            "\u00e9 100%.png",
            "attachment; filename=\"_ 100_.png\"; filename*=UTF-8''%C3%A9%20100%25.png",
        ),
    ],
)
async def test_browser_shows_only_what_cannot_run(
    store: LinkedStore,
    ask: Callable[..., httpx2.AsyncClient],
    key: str,
    content_type: str | None,
    filename: str | None,
    expected: str,
) -> None:
    await store.put(key, b"<script>", content_type=content_type, filename=filename)

    answer = await get(ask, await store.link(key))

    assert answer.headers["content-disposition"] == expected


@pytest.mark.parametrize(
    ("given", "status", "content", "content_range"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 200, b"0123456789", None),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=0-9", 200, b"0123456789", None),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=5-4", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=-", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
async def test_range_is_given(
    store: LinkedStore,
    ask: Callable[..., httpx2.AsyncClient],
    given: str,
    status: int,
    content: bytes | None,
    content_range: str | None,
) -> None:
    await store.put("digits", b"0123456789")

    answer = await get(ask, await store.link("digits"), range=given)

    assert answer.status_code == status
    assert content is None or answer.content == content
    assert answer.headers.get("content-range") == content_range


async def test_range_of_another_version_gives_all(
    store: LinkedStore, ask: Callable[..., httpx2.AsyncClient]
) -> None:
    await store.put("digits", b"0123456789")
    url = await store.link("digits")
    etag = (await get(ask, url)).headers["etag"]

    same = await get(ask, url, range="bytes=0-0", if_range=etag)
    other = await get(ask, url, range="bytes=0-0", if_range='"other"')

    assert (same.status_code, other.status_code) == (206, 200)


async def test_link_ends(
    store: LinkedStore, ask: Callable[..., httpx2.AsyncClient], clock: ManualClock
) -> None:
    await store.put("k", b"x")
    url = await store.link("k", expires_s=60)

    clock.advance(59)
    assert (await get(ask, url)).status_code == 200
    clock.advance(2)
    answer = await get(ask, url)

    assert answer.status_code == 403
    assert answer.json() == {"error": {"code": "link_refused", "message": "the link has ended"}}


async def test_changed_link_is_refused(
    store: LinkedStore, ask: Callable[..., httpx2.AsyncClient]
) -> None:
    for key in ("k", "other"):
        await store.put(key, b"secret")
    url = await store.link("k")
    query = dict(part.split("=") for part in urlsplit(url).query.split("&"))
    later = int(query["expires"]) + 1

    for changed in (
        url.replace("/k?", "/other?"),
        url.replace(f"expires={query['expires']}", f"expires={later}"),
        url.replace(f"expires={query['expires']}", "expires=x"),
        url.replace(f"expires={query['expires']}", f"expires={'9' * 13}"),
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.partition("&")[0],
        url.partition("?")[0],
    ):
        answer = await get(ask, changed)
        assert answer.status_code == 403, changed
        assert answer.json()["error"]["message"] == "the link is damaged"


async def test_object_that_is_gone_is_not_found(
    store: LinkedStore, ask: Callable[..., httpx2.AsyncClient]
) -> None:
    url = await store.link("k")

    answer = await get(ask, url)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "object_missing"
    assert (await get(ask, url, "POST")).status_code == 405


async def test_secret_can_be_changed(clock: ManualClock) -> None:
    old, new = Links([SECRET], clock=clock), Links([b"x" * 16, SECRET], clock=clock)
    query = dict(part.split("=") for part in urlsplit(old.make("k", expires_s=60)).query.split("&"))

    assert new.refusal("k", query) is None
    assert Links([b"x" * 16], clock=clock).refusal("k", query) == "the link is damaged"
    assert old.make("k", expires_s=60) != new.make("k", expires_s=60)


async def test_folder_keeps_its_secret(tmp_path: Path) -> None:
    first, second = FolderObjects(tmp_path), FolderObjects(tmp_path)
    url = await first.link("k", expires_s=3600)
    query = dict(part.split("=") for part in urlsplit(url).query.split("&"))

    assert second.links.refusal("k", query) is None
    assert FolderObjects(tmp_path / "other").links.refusal("k", query) == "the link is damaged"
    [secret] = (tmp_path / ".toril" / "links").iterdir()
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_bytes()) == 32


@pytest.mark.parametrize(
    ("secrets", "base_url", "message"),
    [
        ([], "/files", "secrets=0: expected at least one"),
        ([b"x" * 15], "/files", "secrets='15 bytes': expected at least 16"),
        ([SECRET], "files", "base_url='files': expected an address"),
        ([SECRET], "https://a/?b", "base_url"),
    ],
)
def test_links_that_make_no_sense_are_refused(
    secrets: list[bytes], base_url: str, message: str
) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Links(secrets, base_url=base_url)
