"""The dashboard's own files: styles, scripts, vendored libraries.

Their address holds a hash of all of them, so that a browser may keep them for good, and modules
import each other by relative addresses. They are compressed once, when they are first asked for.
"""

from __future__ import annotations

import gzip
import hashlib
from functools import cache
from pathlib import Path

from starlette.responses import Response

FOLDER = Path(__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".LICENSE": "text/plain; charset=utf-8",
}
FOREVER = "public, max-age=31536000, immutable"


@cache
def version() -> str:
    """Return the hash in the address of all files."""
    digest = hashlib.sha256()
    for name, content in sorted(_files().items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:12]


@cache
def _files() -> dict[str, bytes]:
    return {
        path.relative_to(FOLDER).as_posix(): path.read_bytes()
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix in TYPES
    }


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(_files()[name], 9, mtime=0)


def address(root: str, name: str) -> str:
    """Return the address of a file.

    Parameters:
        root: Where the dashboard is mounted.
        name: Below `static/`, such as `css/toril.css`.

    Raises:
        KeyError: There is none.
    """
    if name not in _files():
        raise KeyError(f"no file static/{name}")
    return f"{root}/static/{version()}/{name}"


def answer(segments: list[str], accepted: str) -> Response | None:
    """Return a file; None if there is none.

    Parameters:
        segments: The path below `static/`, the hash first.
        accepted: The header `Accept-Encoding`.
    """
    name = "/".join(segments[1:])
    if name not in _files():
        return None
    headers = {
        # An address with the hash of another version may still be asked for during a deployment.
        "cache-control": FOREVER if segments[0] == version() else "no-cache",
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
    }
    content = _files()[name]
    if "gzip" in accepted and len(_compressed(name)) < len(content):
        content = _compressed(name)
        headers["content-encoding"] = "gzip"
    return Response(content, headers=headers, media_type=TYPES[Path(name).suffix])
