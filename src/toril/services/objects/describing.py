"""What is kept beside an object's content: its type, the name it is saved under, its metadata."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from toril.core.checks import require
from toril.services.objects.port import DEFAULT_CONTENT_TYPE

SHA256 = "torilsha256"
"""Under which name a server keeps an object's SHA-256 in its metadata."""
MAX_METADATA_BYTES = 1536
"""Most bytes of metadata, names and values together. S3 has 2 KiB, and ours need some of it."""
_NAME = re.compile(r"[a-z][a-z0-9]{0,63}")
_TYPE = re.compile(
    r"[\w.+-]+/[\w.+-]+(?:; ?[\w.+-]+=(?:[\w.+-]+|\"[^\"\\\x00-\x1f\x7f]*\"))*", re.A
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ENCODED = re.compile(r"filename\*=UTF-8''([^;\s]+)", re.IGNORECASE)
_QUOTED = re.compile(r'filename="([^"]*)"', re.IGNORECASE)

_TYPES = mimetypes.MimeTypes(())
for _ending, _type in (
    (".webp", "image/webp"),
    (".avif", "image/avif"),
    (".heic", "image/heic"),
    (".md", "text/markdown"),
    (".jsonl", "application/jsonl"),
    (".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
):
    _TYPES.add_type(_type, _ending)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the caller says of an object."""

    content_type: str
    filename: str | None
    metadata: Mapping[str, str]


def described(
    key: str,
    *,
    content_type: str | None,
    filename: str | None,
    metadata: Mapping[str, str] | None,
) -> Description:
    """Return what an object is stored with.

    Raises:
        InvalidOptionError: A storage could not keep it.
    """
    kind = guessed_type(key) if content_type is None else content_type
    good = isinstance(kind, str) and _TYPE.fullmatch(kind) is not None and len(kind) <= 255
    require(good, "content_type", content_type, "a type such as image/webp")
    if filename is not None:
        check_filename(filename)
    kept = dict(metadata or {})
    for name, value in kept.items():
        good = isinstance(name, str) and _NAME.fullmatch(name) is not None
        good = good and not name.startswith("toril")
        expected = "names of a to z and digits, up to 64, not beginning with toril"
        require(good, "metadata", name, expected)
        good = isinstance(value, str) and value.isascii() and value.isprintable()
        good = good and value == value.strip()
        require(good, f"metadata {name}", value, "printable ASCII without spaces around it")
    size = sum(len(name) + len(value) for name, value in kept.items())
    require(size <= MAX_METADATA_BYTES, "metadata", size, f"up to {MAX_METADATA_BYTES} bytes")
    return Description(content_type=kind, filename=filename, metadata=kept)


def guessed_type(key: str) -> str:
    """Return the content type that a key's ending says."""
    kind, encoding = _TYPES.guess_type(key.rpartition("/")[2], strict=True)
    return DEFAULT_CONTENT_TYPE if kind is None or encoding is not None else kind


def check_filename(filename: str) -> None:
    """Refuse a name that no file should be saved under.

    Raises:
        InvalidOptionError: It holds a slash or control characters, or is too long or empty.
    """
    good = isinstance(filename, str) and filename.strip(". ") != ""
    good = good and filename.isprintable() and not set(filename) & set('/\\"')
    good = good and len(filename.encode("utf-8", "surrogatepass")) <= 255
    expected = "a file's name of up to 255 bytes, without / \\ \" and control characters"
    require(good, "filename", filename, expected)


def check_sha256(value: str | None) -> str | None:
    """Return a SHA-256 in lower case.

    Raises:
        InvalidOptionError: It is none.
    """
    if value is None:
        return None
    lower = value.lower() if isinstance(value, str) else ""
    require(_SHA256.fullmatch(lower) is not None, "sha256", value, "64 hexadecimal digits")
    return lower


def disposition(filename: str) -> str:
    """Return the header `Content-Disposition` by which a browser saves under a name (RFC 6266)."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def filename_of(header: str | None) -> str | None:
    """Return the name that a `Content-Disposition` says; None if it says none."""
    if not header:
        return None
    found = _ENCODED.search(header)
    if found is not None:
        return unquote(found[1])
    found = _QUOTED.search(header)
    return found[1] if found is not None else None
