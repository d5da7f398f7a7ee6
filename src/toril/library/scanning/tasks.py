"""The scan as a task: `app.include(scanning)`, with a `Scanner` and `Sources` provided."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.scanning.payloads import ScannerUnavailableError, ScanResult
from toril.services.scan.port import Finding, Scanner
from toril.services.sources.port import OpenSource, Source, Sources, SourceTooLargeError
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 180.0
"""How long one file may take, in seconds."""
READ_BYTES = 256 * 1024

scanning = TaskBundle()
"""`scanning.scan` on the queue `scanning`."""


@scanning.task(
    name="scanning.scan",
    queue="scanning",
    rename="camel",
    timeout=TIMEOUT_S,
    retry=RetryPolicy(max_attempts=5, base_s=5.0, give_up_on=(UnusableInputError,)),
    keep_completed=KeepPolicy(count=1000),
)
async def scan(
    file_path: str | None = None,
    object_key: str | None = None,
    file_url: str | None = None,
    *,
    scanner: Scanner = provided(Scanner),  # type: ignore[type-abstract]
    sources: Sources = provided(Sources),  # type: ignore[type-abstract]
) -> ScanResult:
    """Scan a file, given in one of three ways. Changes nothing, so a second run is harmless.

    Raises:
        UnusableInputError: There is no such file, or it may not be read; not tried again.
        ScannerUnavailableError: The scanner gave no verdict; tried again.
        SourceUnavailableError, OSError: The file cannot be read at present; tried again.
    """
    source = Source.of({"filePath": file_path, "objectKey": object_key, "fileUrl": file_url})
    try:
        async with sources.open(source, max_bytes=scanner.max_bytes) as opened:
            return await _scanned(source, scanner, opened)
    except SourceTooLargeError as error:
        return ScanResult(verdict=Finding.TOO_LARGE, clean=False, reason=error.reason)


async def _scanned(source: Source, scanner: Scanner, opened: OpenSource) -> ScanResult:
    read = _Reading(opened)
    verdict = await scanner.scan(read.parts(), size_bytes=opened.size_bytes)
    if verdict.finding is Finding.UNAVAILABLE:
        raise ScannerUnavailableError(f"{source}: no verdict: {verdict.reason}")
    if verdict.is_clean and read.size_bytes != opened.size_bytes:
        # Cut or grown while it was read: what was scanned is not the file.
        raise ScannerUnavailableError(
            f"{source}: it changed while it was scanned, from {opened.size_bytes:,} to"
            f" {read.size_bytes:,} bytes"
        )
    return ScanResult(
        verdict=verdict.finding,
        clean=verdict.is_clean,
        signature=verdict.signature,
        reason=verdict.reason,
        bytes=opened.size_bytes,
        sha256=read.sha256,
    )


class _Reading:
    """Reads a file for a scanner, and knows the checksum of what it read."""

    def __init__(self, opened: OpenSource) -> None:
        self._opened = opened
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str | None:
        """The checksum, if all was read."""
        whole = self.size_bytes == self._opened.size_bytes
        return self._hash.hexdigest() if whole else None

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the content. Not one thread a part for small files: they are in memory, mostly."""
        while part := await asyncio.to_thread(self._opened.file.read, READ_BYTES):
            self._hash.update(part)
            self.size_bytes += len(part)
            yield part
