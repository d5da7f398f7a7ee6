"""Cuts what is stored into blocks, and takes their size and SHA-256 on the way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar, cast

from toril.core.checks import require
from toril.services.objects.errors import WrongChecksumError
from toril.services.objects.port import Content

P = ParamSpec("P")
T = TypeVar("T")

BLOCK_BYTES = 1024 * 1024
"""The largest block, in bytes."""
_INLINE_BYTES = 64 * 1024
"""Up to here a block is hashed where it is: the way to a thread takes longer."""


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a call in a thread. If the caller is cancelled, wait for it first.

    Otherwise the call would go on with a file that the caller has closed meanwhile.
    """
    running = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # it was looked at: nobody is warned of it
        raise


class Digest:
    """Size and SHA-256 of the blocks so far."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return self._hash.hexdigest()

    def add(self, block: bytes | memoryview) -> None:
        """Take the next block."""
        self._hash.update(block)
        self.size_bytes += len(block)

    async def add_aside(self, block: bytes | memoryview) -> None:
        """Take the next block, a large one without holding the event loop."""
        if len(block) <= _INLINE_BYTES:
            self.add(block)
        else:
            await in_thread(self.add, block)

    def check(self, key: str, expected: str | None) -> None:
        """Compare with what the SHA-256 has to be, if that is known.

        Raises:
            WrongChecksumError: It is another one.
        """
        if expected is not None and self.sha256 != expected:
            raise WrongChecksumError(
                f"object {key!r}: its {self.size_bytes:,} bytes have SHA-256 {self.sha256}, not"
                f" {expected}"
            )


def check_content(content: object) -> None:
    """Refuse what cannot be stored.

    Raises:
        InvalidOptionError: It is a text, or nothing that gives bytes.
    """
    good = (
        isinstance(content, (bytes, bytearray, memoryview, Path, AsyncIterable))
        or hasattr(content, "read")
        or isinstance(content, Iterable)
    )
    expected = "bytes, a Path, a file opened with 'rb', or a stream of bytes"
    require(good and not isinstance(content, (str, dict)), "content", content, expected)


def is_asynchronous(content: Content) -> bool:
    """Whether it has to be read on the event loop."""
    return isinstance(content, AsyncIterable)


def plain_blocks(content: Content) -> Iterator[bytes | memoryview]:
    """Yield the blocks of anything but an asynchronous stream. Reads files: use a thread."""
    if isinstance(content, (bytes, bytearray, memoryview)):
        yield from _cut(memoryview(content).cast("B"))
    elif isinstance(content, Path):
        with content.open("rb") as file:
            yield from _of_file(file)
    elif hasattr(content, "read"):
        yield from _of_file(cast("BinaryIO", content))
    else:
        for block in cast("Iterable[bytes]", content):
            yield from _cut(_as_view(block))


async def blocks(content: Content) -> AsyncGenerator[bytes | memoryview, None]:
    """Yield the blocks of any content; files are read in a thread."""
    if isinstance(content, AsyncIterable):
        async for block in content:
            for part in _cut(_as_view(block)):
                yield part
        return
    if isinstance(content, (bytes, bytearray, memoryview)):
        for view in plain_blocks(content):
            yield view
        return
    source = plain_blocks(content)
    try:
        while (found := await in_thread(next, source, None)) is not None:
            yield found
    finally:
        await in_thread(cast("Any", source).close)


def digest_of(content: Content) -> Digest | None:
    """Return size and SHA-256 of bytes or a file at a path; None for what can be read only once.

    Reads the file: use a thread.
    """
    if not isinstance(content, (bytes, bytearray, memoryview, Path)):
        return None
    digest = Digest()
    for block in plain_blocks(content):
        digest.add(block)
    return digest


def _of_file(file: BinaryIO) -> Iterator[bytes | memoryview]:
    while block := file.read(BLOCK_BYTES):
        yield from _cut(_as_view(block))


def _as_view(block: object) -> memoryview:
    good = isinstance(block, (bytes, bytearray, memoryview))
    require(good, "content", type(block).__name__, "blocks of bytes")
    return memoryview(cast("bytes", block)).cast("B")


def _cut(view: memoryview) -> Iterator[memoryview]:
    for at in range(0, len(view), BLOCK_BYTES):
        yield view[at : at + BLOCK_BYTES]
