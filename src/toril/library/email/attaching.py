"""Gets the files that go with a mail: out of one folder, or from the web, within limits."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from toril.core.errors import InvalidOptionError
from toril.library.email.payloads import AttachmentSource
from toril.library.email.settings import EmailSettings
from toril.services.disk.inside import open_inside
from toril.services.http.port import (
    EgressRefusedError,
    HttpClient,
    HttpError,
    HttpLimits,
    HttpTooLargeError,
)
from toril.services.mail.port import Attachment
from toril.services.unusable import UnusableInputError, named

FETCH_S = 30.0
_FOR_NOW = frozenset({408, 425, 429})


async def attachments(
    sources: Sequence[AttachmentSource], settings: EmailSettings, http: HttpClient
) -> list[Attachment]:
    """Return the files.

    Raises:
        UnusableInputError: One cannot be had, ever: it lies elsewhere, is not there, is too large.
        HttpError: A server does not answer now.
        OSError: The disk.
    """
    if len(sources) > settings.max_attachments:
        raise UnusableInputError(
            "attachments",
            f"{len(sources)} are given, and {settings.max_attachments} are allowed"
            " (max_attachments)",
        )
    left, found = settings.max_attachment_bytes, []
    for source in sources:
        label = named("attachment", source.filename)
        given = [one for one in (source.path, source.url, source.content) if one is not None]
        if len(given) != 1:
            raise UnusableInputError(label, "expected one of path, url and content")
        if source.content is not None:
            content = _inline(source.content, label)
            if len(content) > left:
                raise _too_large(label)
        elif source.url is not None:
            content = await _fetched(source.url, label, left, http)
        else:
            root = settings.attachment_root
            if root is None:
                raise UnusableInputError(label, "no folder for attachments is set"
                                         " (EMAIL_ATTACHMENT_ROOT)")  # fmt: skip
            content = await asyncio.to_thread(_read, root, str(source.path), label, left)
        left -= len(content)
        found.append(_attachment(source, content, label))
    return found


def refuse_outside(sources: Sequence[AttachmentSource], settings: EmailSettings) -> None:
    """Refuse, for the door of an application, attachments whose paths lead out of their folder.

    A file need not be there yet.

    Raises:
        UnusableInputError: One leads out.
    """
    for source in sources:
        if source.path is not None and settings.attachment_root is not None:
            with suppress(FileNotFoundError):
                open_inside(settings.attachment_root, source.path, field="attachments").close()


def _attachment(source: AttachmentSource, content: bytes, label: str) -> Attachment:
    kind = source.content_type or mimetypes.guess_type(source.filename)[0]
    try:
        return Attachment(
            filename=source.filename,
            content=content,
            content_type=kind or "application/octet-stream",
        )
    except InvalidOptionError as error:
        raise UnusableInputError(label, str(error)) from None


def _inline(content: object, label: str) -> bytes:
    """Return content that stands in the payload: a text, or a Buffer of Node's."""
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    try:
        return msgspec.convert(content, _Buffer).content
    except (msgspec.ValidationError, ValueError):
        reason = "expected content as a text, or as a Buffer: {'type': 'Buffer', 'data': [104]}"
        raise UnusableInputError(label, reason) from None


class _Buffer(msgspec.Struct, tag="Buffer", tag_field="type"):
    data: list[int]

    @property
    def content(self) -> bytes:
        return bytes(self.data)


def _read(root: Path, path: str, label: str, max_bytes: int) -> bytes:
    try:
        with open_inside(root, path, field="path") as file:
            if file.size_bytes > max_bytes:
                raise _too_large(label)
            return file.read(max_bytes)
    except FileNotFoundError:
        raise UnusableInputError(label, f"there is no file {path!r} in its folder") from None


async def _fetched(url: str, label: str, max_bytes: int, http: HttpClient) -> bytes:
    limits = HttpLimits(total_s=FETCH_S, max_bytes=max_bytes)
    try:
        reply = await http.request("GET", url, limits=limits)
    except HttpTooLargeError:
        raise _too_large(label) from None
    except EgressRefusedError as error:
        raise UnusableInputError(label, str(error)) from None
    except InvalidOptionError as error:
        raise UnusableInputError(label, str(error)) from None
    if reply.status in _FOR_NOW or reply.status >= 500:
        raise HttpError(f"{label}: the server answers {reply.status}; it may be better later")
    if not 200 <= reply.status < 300:
        raise UnusableInputError(label, f"the server answers {reply.status}")
    return reply.body


def _too_large(label: str) -> UnusableInputError:
    return UnusableInputError(
        label, "with it the attachments are larger than allowed (max_attachment_bytes)"
    )
