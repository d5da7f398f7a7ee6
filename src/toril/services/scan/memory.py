"""A scanner without a program beside it, for tests and first steps: it knows a few patterns."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterable, Iterator, Mapping

from toril.services.scan.port import (
    CLEAN,
    DEFAULT_MAX_BYTES,
    Verdict,
    infected,
    over_limit,
    parts_of,
    too_large,
    unavailable,
)

MAX_MEMBERS = 1000
MAX_LEVELS = 4
"""Archives within archives that are looked into."""


def eicar() -> bytes:
    """Return the test pattern that every scanner finds, and that harms nobody.

    Put together here, so that no file of ours holds it and is found itself.

    Source: EICAR, "Anti-Malware Testfile".
    """
    return b"".join(
        (rb"X5O!P%@AP[4\PZX54(P^)7CC)7}", b"$EICAR-STANDARD-", b"ANTIVIRUS-TEST-FILE!", b"$H+H*")
    )


class MemoryScanner:
    """A `Scanner` that finds given patterns, in ZIP archives too. No protection."""

    def __init__(
        self,
        signatures: Mapping[str, bytes] | None = None,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        """Make a scanner.

        Parameters:
            signatures: Patterns by the name under which they are reported. Default: the EICAR test
                pattern, as `Eicar-Test`.
            max_bytes: Largest content that it takes.
        """
        self._signatures = dict(signatures or {"Eicar-Test": eicar()})
        self._max_bytes = max_bytes
        self.is_available = True
        """Set it to False to have every scan answer `unavailable`."""
        self.scanned = 0
        """How many scans were made."""

    @property
    def max_bytes(self) -> int:
        """Largest content that it takes."""
        return self._max_bytes

    async def scan(
        self, content: bytes | AsyncIterable[bytes], *, size_bytes: int | None = None
    ) -> Verdict:
        """Scan content: see `Scanner.scan`."""
        if not self.is_available:
            return await self.check()
        self.scanned += 1
        if size_bytes is not None and size_bytes > self._max_bytes:
            return over_limit(self._max_bytes, size_bytes)
        found = bytearray()
        async for part in parts_of(content):
            found += part
            if len(found) > self._max_bytes:
                return over_limit(self._max_bytes)
        try:
            for whole in _unpacked(bytes(found), self._max_bytes, MAX_LEVELS):
                for name, pattern in self._signatures.items():
                    if pattern in whole:
                        return infected(name)
        except _TooMuchError:
            return too_large("an archive unpacks to more than is scanned")
        return CLEAN

    async def check(self) -> Verdict:
        """Say whether it is available: see `Scanner.check`."""
        return CLEAN if self.is_available else unavailable("the memory scanner was switched off")


class _TooMuchError(Exception):
    """An archive holds more than is looked into."""


def _unpacked(content: bytes, max_bytes: int, levels: int) -> Iterator[bytes]:
    """Yield content, and what is in it if it is a ZIP archive."""
    yield content
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    if levels == 0:
        raise _TooMuchError
    left = max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise _TooMuchError
            for member in members:
                with archive.open(member) as file:
                    found = file.read(left + 1)
                left -= len(found)
                if left < 0:
                    raise _TooMuchError
                yield from _unpacked(found, max_bytes, levels - 1)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError):
        return  # it cannot be unpacked by us: what can be seen was looked at
