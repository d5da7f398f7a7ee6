"""Has a scanner look at a file before other work reads it: `MediaWork(objects, check=...)`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from toril.core.errors import TorilError
from toril.services.scan.port import Finding, Scanner
from toril.services.unusable import UnusableInputError

READ_BYTES = 256 * 1024


class NoVerdictError(TorilError):
    """The scanner gave no verdict, so the file is not used. Try again later."""


def scan_check(scanner: Scanner) -> Callable[[Path], Awaitable[None]]:
    """Return a check of files: it returns if the scanner said that a file is clean, else raises.

    It raises `UnusableInputError` for a file in which something was found, or that is too large to
    be scanned, and `NoVerdictError` if the scanner gave no verdict.

    Parameters:
        scanner: What scans.
    """

    async def check(path: Path) -> None:
        size_bytes = (await asyncio.to_thread(path.stat)).st_size
        verdict = await scanner.scan(_parts(path), size_bytes=size_bytes)
        if verdict.finding is Finding.UNAVAILABLE:
            raise NoVerdictError(f"no verdict on the file: {verdict.reason}")
        if verdict.finding is Finding.INFECTED:
            raise UnusableInputError("file", f"the virus scan found {verdict.signature}")
        if not verdict.is_clean:
            raise UnusableInputError("file", f"too large for the virus scan: {verdict.reason}")

    return check


async def _parts(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while part := await asyncio.to_thread(file.read, READ_BYTES):
            yield part
