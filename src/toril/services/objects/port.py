"""What a storage of objects promises, whichever it is.

An object appears whole or not at all: an upload that fails, is cancelled or whose process is killed
leaves what was under the key before. Content is streamed both ways, so that memory stays bounded
however large an object is.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

DEFAULT_CONTENT_TYPE = "application/octet-stream"
MAX_PAGE = 1000
"""Most entries of a page."""

Content = bytes | bytearray | memoryview | Path | BinaryIO | AsyncIterable[bytes] | Iterable[bytes]
"""What can be stored: bytes, the path of a file, an open file (from where it stands), or a stream
of bytes. A text is none: it could mean its characters or a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectEntry:
    """One object of a listing."""

    key: str
    size_bytes: int
    etag: str
    """Another one for other content, as the storage makes it; for `if_etag`."""
    modified_at: datetime
    """When it was stored, in UTC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo(ObjectEntry):
    """What a storage knows about an object."""

    content_type: str = DEFAULT_CONTENT_TYPE
    sha256: str | None = None
    """SHA-256 of its content, in hexadecimal. None: not known, as others have stored it, or it was
    stored from a stream so long that its checksum was known too late; see `ObjectStore.put`."""
    filename: str | None = None
    """The name under which a browser saves it."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the caller has stored with it. Names are lower-case letters, digits and `-`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPage:
    """Entries of a listing, in the order of their keys' bytes."""

    entries: tuple[ObjectEntry, ...]
    next_after: str | None
    """What to give as `after` for the next page. None: this is the last."""


class ObjectStream(Protocol):
    """An object's content on its way: iterate over it, once."""

    @property
    def info(self) -> ObjectInfo:
        """The object."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield blocks of at most a few MiB.

        Raises:
            WrongChecksumError: At the end: the content is not what was stored. Only where the whole
                object is read and its SHA-256 is known.
            StorageUnavailableError: The connection was lost.
        """
        ...

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole content.

        Raises:
            UnusableInputError: It has more than `max_bytes`.
            WrongChecksumError: As when iterating.
        """
        ...

    async def save(self, path: Path) -> None:
        """Write the content to a file, which appears whole or not at all; it replaces another."""
        ...

    async def close(self) -> None:
        """Let go of the connection, if not all was read. Also done by `async with`."""
        ...

    async def __aenter__(self) -> ObjectStream: ...

    async def __aexit__(self, *_: object) -> None: ...


class ObjectStore(Protocol):
    """A storage. Safe to share between tasks, threads and event loops.

    All methods that take a key may raise:
        UnusableInputError: The key is not allowed; see `keys.py`.
        StorageDeniedError: The storage refuses.
        StorageUnavailableError: The storage does not answer; try again later.
    """

    async def put(
        self,
        key: str,
        content: Content,
        *,
        content_type: str | None = None,
        filename: str | None = None,
        metadata: Mapping[str, str] | None = None,
        sha256: str | None = None,
        if_absent: bool = False,
        if_etag: str | None = None,
        unless_equal: bool = False,
    ) -> ObjectInfo:
        """Store an object. It replaces the one under this key.

        Parameters:
            key: Its key.
            content: Its content. Large content is sent in parts.
            content_type: Default: guessed from the key's ending.
            filename: The name under which a browser saves it.
            metadata: Kept with it.
            sha256: What its SHA-256 has to be, in hexadecimal. Give it with a stream: only then can
                a remote storage keep the SHA-256 of a stream over 8 MiB, as it has to be sent
                before the content.
            if_absent: Store it only if there is none. On a remote storage for content up to 64 MiB.
            if_etag: Store it only if the one that is there has this `etag`. As `if_absent`.
            unless_equal: Send nothing if size, SHA-256, content type and the rest are stored
                already. For bytes and files, and for other content whose `sha256` is given; the
                size is not compared then.

        Returns:
            The object as stored, with its SHA-256, be it kept or not.

        Raises:
            ObjectExistsError: With `if_absent`.
            ObjectChangedError: With `if_etag`.
            WrongChecksumError: The content does not have `sha256`.
            StorageFullError: There is no room.
        """
        ...

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> ObjectStream:
        """Open an object for reading.

        Parameters:
            key: Its key.
            start: The first byte, from 0. Past the end: nothing is read.
            length: How many bytes at most. Default: to the end.

        Raises:
            ObjectMissingError: There is none.
        """
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Return what is known about an object.

        Raises:
            ObjectMissingError: There is none.
        """
        ...

    async def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = MAX_PAGE
    ) -> ObjectPage:
        """Return objects below a prefix.

        Parameters:
            prefix: Whole parts of keys: `reports/2026` finds `reports/2026/1.csv` and not
                `reports/2026-old.csv`. Empty: all objects.
            after: Only keys behind this one: `next_after` of the page before.
            limit: Most entries, 1 to 1000.
        """
        ...

    async def delete(self, *keys: str) -> None:
        """Remove objects; those that are not there are none the less gone."""
        ...

    async def copy(self, source: str, target: str) -> ObjectInfo:
        """Copy an object with all that is known about it; it replaces the one under `target`.

        Raises:
            ObjectMissingError: There is no `source`.
        """
        ...

    async def link(self, key: str, *, expires_s: float = 300.0) -> str:
        """Return a URL by which anybody may read the object for a while.

        It is not checked whether there is one.

        Parameters:
            key: Its key.
            expires_s: For how long, in seconds; up to 7 days.
        """
        ...

    async def check(self) -> None:
        """Look whether the storage can be used. For health checks.

        Raises:
            ObjectError: It cannot.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Twice is fine."""
        ...
