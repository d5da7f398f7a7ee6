"""Routes by which users upload files, and see what became of them.

```python
routes = [
    upload_route("/api/upload", uploads, work_on, user_of=user, max_bytes=10_000_000),
    file_route(files, user_of=user),
]
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toril.core.extras import missing_extra
from toril.engine.handle import Job
from toril.services.media.file_records import FileRecords
from toril.services.media.uploads import Uploads
from toril.web.problems import Problem
from toril.web.user_routes import UserOf, told

READ_S = 60.0
"""How long a caller may take to send a file, in seconds."""
FORM_BYTES = 64 * 1024
"""What a form may have beside its file: names, other fields."""
MAX_FIELDS = 20
"""Of a form, beside its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """A file that was stored."""

    user: str
    file_id: str
    path: str
    """From the storage's root, with a slash in front."""
    size_bytes: int
    content_type: str
    """As the caller says."""
    name: str | None
    """As the caller calls it. None: it was not sent by a form."""


Then = Callable[[Uploaded], Awaitable[dict[str, Any]]]


def upload_route(
    path: str, uploads: Uploads, then: Then, *, user_of: UserOf, max_bytes: int
) -> Route:
    """Return a route for `POST` of one file: as the body, or as a file of a form.

    It answers 201 with `{fileId, url, fileName?, fileSize, fileType}` and what `then` returns.

    Parameters:
        path: Of the route.
        uploads: Where files go.
        then: Called once a file is stored, to have it worked on; returns further members of the
            answer, such as `processing(job)`.
        user_of: Says who asks.
        max_bytes: Of a file.

    Raises:
        MissingExtraError: `toril[web]` is not whole: python-multipart is not installed.
    """
    try:
        import python_multipart  # noqa: F401 - Starlette asks for it, and says no more than that
    except ImportError as error:
        raise missing_extra("uploads by forms need python-multipart", "web") from error

    async def upload(request: Request) -> Response:
        user = await user_of(request)
        content, name, kind = await _read(request, max_bytes)
        if not content:
            raise Problem(422, "empty_file", "the file is empty: send its content", field="file")
        record = await uploads.add(content, content_type=kind or None)
        stored = Uploaded(
            user=user,
            file_id=record.file_id,
            path=f"/{record.path}",
            size_bytes=len(content),
            content_type=kind,
            name=name,
        )
        told_of = {"fileId": stored.file_id, "url": stored.path}
        if name is not None:
            told_of["fileName"] = name
        facts = {"fileSize": stored.size_bytes, "fileType": kind}
        return JSONResponse({**told_of, **facts, **await then(stored)}, 201)

    return Route(path, told(upload), methods=["POST"])


def file_route(
    records: FileRecords, *, user_of: UserOf, path: str = "/api/files/{file_id}"
) -> Route:
    """Return a route for `GET` of what became of a file: `{fileId, processed}` and its URLs.

    Parameters:
        records: Files' records.
        user_of: Says who asks.
        path: Of the route, with `{file_id}` in it.
    """

    async def file(request: Request) -> Response:
        await user_of(request)
        file_id = request.path_params["file_id"]
        record = await records.find(file_id)
        if record is None:
            raise Problem(404, "not_found", f"there is no file {file_id!r}", field="file_id")
        return JSONResponse({**record.urls, "fileId": file_id, "processed": record.processed})

    return Route(path, told(file))


def processing(job: Job[Any]) -> dict[str, Any]:
    """Return the member of an answer that says which job works on a file."""
    return {"processing": {"jobId": job.id, "status": "queued"}}


async def _read(request: Request, max_bytes: int) -> tuple[bytes, str | None, str]:
    """Return a file's content, name and type."""
    kind = request.headers.get("content-type", "")
    is_form = kind.lower().startswith("multipart/form-data")
    try:
        async with asyncio.timeout(READ_S):
            if is_form:
                return await _read_form(request, max_bytes)
            parts = [part async for part in _parts(request, max_bytes, max_bytes)]
            return b"".join(parts), None, kind
    except TimeoutError:
        message = f"the file was not complete within {READ_S:g} s: send it again"
        raise Problem(408, "body_too_slow", message) from None
    except ClientDisconnect:
        raise Problem(400, "gone", "the caller left before the file was complete") from None


async def _read_form(request: Request, max_bytes: int) -> tuple[bytes, str | None, str]:
    stream = _parts(request, max_bytes + FORM_BYTES, max_bytes)
    parser = MultiPartParser(request.headers, stream, max_files=1, max_fields=MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        said = getattr(error, "message", "it says no boundary")
        raise Problem(400, "not_a_form", f"the form cannot be read: {said}") from None
    try:
        for _, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                if len(content) > max_bytes:
                    raise _too_large(max_bytes)
                return content, value.filename, value.content_type or ""
    finally:
        await form.close()
    expected = "expected a form with a file, such as curl -F file=@photo.jpg sends"
    raise Problem(422, "no_file", f"file: {expected}", field="file")


async def _parts(request: Request, most: int, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield a body as it comes; it may have so many bytes."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(max_bytes)
        yield part


def _too_large(max_bytes: int) -> Problem:
    message = f"the file is larger than {max_bytes:,} bytes: send a smaller one"
    return Problem(413, "file_too_large", message, field="file")
