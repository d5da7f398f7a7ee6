"""Where a file is, and what opens it: what work on files needs to know, and no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from toril.core.errors import TorilError
from toril.services.unusable import UnusableInputError, named


class SourceUnavailableError(TorilError):
    """The file cannot be had at present: its server does not answer. Try again later."""


class SourceTooLargeError(UnusableInputError):
    """The file is larger than whoever opens it takes."""


class MissingFileError(UnusableInputError):
    """There is no file of this path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, given in one of three ways."""

    file_path: str | None = None
    """From the root of uploads, or absolute and inside it."""
    object_key: str | None = None
    """The key of an object."""
    file_url: str | None = None
    """An address of HTTP."""

    @classmethod
    def of(cls, fields: Mapping[str, str | None]) -> Source:
        """Return the source that one of several fields names, by their names on the wire.

        Raises:
            UnusableInputError: None of them is given, or several are.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise UnusableInputError("source", f"expected one of {', '.join(fields)}; got {found}")
        return cls(
            file_path=fields.get("filePath"),
            object_key=fields.get("objectKey"),
            file_url=fields.get("fileUrl"),
        )

    def __str__(self) -> str:
        if self.file_path is not None:
            return named("filePath", self.file_path)
        if self.object_key is not None:
            return named("objectKey", self.object_key)
        # A query often is a signature that lets anybody in.
        return named("fileUrl", (self.file_url or "").partition("?")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """A file that is open for reading."""

    size_bytes: int
    file: BinaryIO
    """Its content, from the beginning. Reading it may block: use a thread."""


class Sources(Protocol):
    """Opens sources."""

    def open(self, source: Source, *, max_bytes: int) -> AbstractAsyncContextManager[OpenSource]:
        """Open a file, in an `async with` block.

        Parameters:
            source: Which.
            max_bytes: The most that it may have.

        Raises:
            SourceTooLargeError: It has more.
            UnusableInputError: It is not there, or may not be read.
            SourceUnavailableError, OSError: It cannot be read at present.
        """
        ...


class ObjectContent(Protocol):
    """The content of an object on its way."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield its parts."""
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class ObjectReader(Protocol):
    """What reads objects: a storage of objects is one."""

    async def get(self, key: str) -> ObjectContent:
        """Open an object.

        Raises:
            LookupError: There is none.
            UnusableInputError: There can be none of this key.
        """
        ...
