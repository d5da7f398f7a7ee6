"""Answers links to objects of a folder or memory: a small app for any ASGI server.

What people have uploaded is shown to people, so an answer is never run as a page of ours: a browser
shows pictures, sounds, films and plain text, saves anything else, and neither guesses another type
nor runs scripts.
"""

from __future__ import annotations

import re
from typing import Protocol

from toril.core.extras import missing_extra

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response, StreamingResponse
    from starlette.routing import Route
except ImportError as error:
    raise missing_extra("links to objects need Starlette", "web") from error

from toril.services.objects.describing import disposition
from toril.services.objects.errors import (
    ObjectError,
    ObjectMissingError,
    StorageUnavailableError,
)
from toril.services.objects.links import Links
from toril.services.objects.port import ObjectInfo, ObjectStore
from toril.services.unusable import UnusableInputError

_SHOWN = re.compile(r"(?:image/(?:png|jpeg|gif|webp|avif)|(?:audio|video)/[\w.+-]+|text/plain)\b")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",  # the address is the right to read
    "Cache-Control": "private",
    "Accept-Ranges": "bytes",
}


class LinkedStore(ObjectStore, Protocol):
    """A storage whose links we answer ourselves: a folder, or memory."""

    @property
    def links(self) -> Links:
        """What checks them."""
        ...


def link_app(store: LinkedStore) -> Starlette:
    """Return an app that answers the links of a storage. Mount it where `Links.base_url` leads.

    Parameters:
        store: A `FolderObjects` or `MemoryObjects`.
    """

    async def answer(request: Request) -> Response:
        key = str(request.path_params["key"])
        refusal = store.links.refusal(key, request.query_params)
        if refusal is not None:
            return _refused(403, "link_refused", refusal)
        try:
            return await _answer(store, key, request)
        except (ObjectMissingError, UnusableInputError):
            return _refused(404, "object_missing", "there is no such object any more")
        except StorageUnavailableError:
            return _refused(503, "storage_unavailable", "the storage does not answer; try again")
        except ObjectError:
            return _refused(500, "storage_failed", "the storage cannot give the object")

    return Starlette(routes=[Route("/{key:path}", answer, methods=["GET"])])


async def _answer(store: ObjectStore, key: str, request: Request) -> Response:
    info = await store.head(key)
    headers = {**_ALWAYS, "ETag": f'"{info.etag}"', "Content-Disposition": _disposition(info)}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    wanted = _wanted(request, info.size_bytes, headers["ETag"])
    if wanted is None:
        headers["Content-Range"] = f"bytes */{info.size_bytes}"
        return _refused(416, "range_refused", "the object has no such bytes", headers)
    first, end = wanted
    whole = end - first == info.size_bytes
    headers["Content-Type"] = info.content_type
    if not whole:
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{info.size_bytes}"
    status = 200 if whole else 206
    if request.method == "HEAD":
        headers["Content-Length"] = str(end - first)
        return Response(status_code=status, headers=headers)
    stream = await store.get(key, start=first, length=None if whole else end - first)
    if stream.info.etag != info.etag:  # replaced meanwhile: the new one, from its beginning
        await stream.close()
        return await _answer(store, key, request)
    headers["Content-Length"] = str(end - first)
    return StreamingResponse(aiter(stream), status_code=status, headers=headers)


def _wanted(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """Return the first byte that is asked for and the one after the last; None: there is none."""
    found = _RANGE.fullmatch(request.headers.get("range", ""))
    if found is None or request.headers.get("if-range", etag) != etag or not any(found.groups()):
        return 0, size
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    end = size if not last else min(int(last) + 1, size)
    return (int(first), end) if int(first) < end else None


def _disposition(info: ObjectInfo) -> str:
    if info.filename is not None:
        return disposition(info.filename)
    if _SHOWN.match(info.content_type):
        return "inline"
    return disposition(info.key.rpartition("/")[2])


def _refused(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    body = {"error": {"code": code, "message": message}}
    retry = {"Retry-After": "5"} if status == 503 else {}
    kept = {name: value for name, value in (headers or _ALWAYS).items() if name[0] != "E"}
    kept.pop("Content-Disposition", None)
    return JSONResponse(body, status_code=status, headers={**kept, **retry})
