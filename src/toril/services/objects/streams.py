"""An object's content on its way to the reader, checked against its SHA-256 where that is known."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any

from toril.services.disk.writing import ASIDE_PREFIX, ASIDE_SUFFIX, sync_folder
from toril.services.objects.content import Digest, in_thread
from toril.services.objects.errors import StorageUnavailableError
from toril.services.objects.port import ObjectInfo
from toril.services.unusable import UnusableInputError, named


class CheckedStream:
    """An `ObjectStream` over the blocks that a storage gives.

    Parameters:
        info: The object.
        source: Its blocks.
        expected_bytes: How many bytes have to come.
        whole: Whether these are all of the object's bytes.
    """

    def __init__(
        self, info: ObjectInfo, source: AsyncIterator[bytes], *, expected_bytes: int, whole: bool
    ) -> None:
        self._info = info
        self._source = source
        self._expected_bytes = expected_bytes
        self._sha256 = info.sha256 if whole else None

    @property
    def info(self) -> ObjectInfo:
        """The object."""
        return self._info

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the blocks; see `ObjectStream`."""
        digest = Digest()
        try:
            async for block in self._source:
                if self._sha256 is None:
                    digest.size_bytes += len(block)
                else:
                    await digest.add_aside(block)
                yield block
        finally:
            await self.close()
        if digest.size_bytes != self._expected_bytes:
            raise StorageUnavailableError(
                f"object {self._info.key!r}: {digest.size_bytes:,} bytes came of"
                f" {self._expected_bytes:,}"
            )
        digest.check(self._info.key, self._sha256)

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole content."""
        if self._expected_bytes > max_bytes:
            await self.close()
            raise UnusableInputError(
                named("object", self._info.key),
                f"it has {self._expected_bytes:,} bytes, over the {max_bytes:,} that are allowed"
                " (max_bytes)",
            )
        return b"".join([block async for block in self])

    async def save(self, path: Path) -> None:
        """Write the content to a file."""
        aside = path.parent / f"{ASIDE_PREFIX}{path.name[:200]}.{token_hex(4)}{ASIDE_SUFFIX}"
        file = await in_thread(aside.open, "xb")
        try:
            try:
                async for block in self:
                    await in_thread(file.write, block)
                await in_thread(_flush, file)
            finally:
                await in_thread(file.close)
            await in_thread(_publish, aside, path)
        except BaseException:
            with suppress(FileNotFoundError):
                aside.unlink()
            raise

    async def close(self) -> None:
        """Let go of the source."""
        close = getattr(self._source, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> CheckedStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _publish(aside: Path, path: Path) -> None:
    os.replace(aside, path)
    sync_folder(path.parent)
