"""What every scanner promises. Each test runs on each of them."""

from __future__ import annotations

import asyncio
import io
import os
import zipfile
from collections.abc import AsyncIterator, Callable

import pytest
from tests.services.scan.conftest import SMALL

from toril.services.scan.memory import eicar
from toril.services.scan.port import CLEAN, Finding, Scanner


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    """Yield content in pieces, with empty ones between them."""
    for at in range(0, len(content), size):
        yield content[at : at + size]
        yield b""
        await asyncio.sleep(0)


def zipped(content: bytes, levels: int = 1) -> bytes:
    """Return content in an archive, in an archive."""
    for _ in range(levels):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/inner.png", content)
        content = file.getvalue()
    return content


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.4 no more", os.urandom(200_000)])
async def test_clean_is_what_was_scanned_and_has_nothing(scanner: Scanner, content: bytes) -> None:
    assert await scanner.scan(content) == CLEAN
    assert (await scanner.scan(pieces(content, 7_000))).is_clean
    assert (await scanner.scan(pieces(content, 7_000), size_bytes=len(content))).is_clean


@pytest.mark.parametrize("levels", [0, 1, 2])
async def test_the_test_virus_is_found_and_named(scanner: Scanner, levels: int) -> None:
    content = zipped(eicar(), levels)
    for verdict in (await scanner.scan(content), await scanner.scan(pieces(content, 10))):
        assert verdict.finding is Finding.INFECTED
        assert not verdict.is_clean
        assert verdict.signature is not None
        assert "eicar" in verdict.signature.lower()
        assert "FOUND" not in verdict.signature
        assert verdict.reason is None


async def test_it_is_found_behind_much_else(scanner: Scanner) -> None:
    content = b"x" * (SMALL - 1000) + eicar() + b"y" * 100
    assert (await scanner.scan(pieces(content, 65_536))).finding is Finding.INFECTED


async def test_content_over_the_limit_is_not_clean(scanner: Scanner) -> None:
    assert scanner.max_bytes == SMALL
    assert (await scanner.scan(b"x" * SMALL)).is_clean
    assert (await scanner.scan(pieces(b"x" * SMALL, 10_000), size_bytes=SMALL)).is_clean
    over = b"x" * (SMALL + 1)
    for verdict in (await scanner.scan(over), await scanner.scan(pieces(over, 10_000))):
        assert verdict.finding is Finding.TOO_LARGE
        assert verdict.reason is not None
        assert f"max_bytes={SMALL:,}" in verdict.reason


async def test_content_of_a_known_size_over_the_limit_is_not_read(scanner: Scanner) -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    verdict = await scanner.scan(never(), size_bytes=SMALL + 1)
    assert verdict.finding is Finding.TOO_LARGE
    assert f"{SMALL + 1:,} bytes" in str(verdict.reason)


async def test_errors_of_reading_come_through(scanner: Scanner) -> None:
    for error in (ValueError("torn"), TimeoutError("of the disk"), ConnectionResetError("of S3")):

        async def torn(error: Exception = error) -> AsyncIterator[bytes]:
            yield b"abc"
            raise error

        with pytest.raises(type(error), match=str(error)):
            await scanner.scan(torn())
    assert (await scanner.scan(b"and goes on")).is_clean


async def test_many_at_once(scanner: Scanner) -> None:
    contents = [eicar() if number % 3 == 0 else b"x" * number for number in range(60)]
    verdicts = await asyncio.gather(*map(scanner.scan, contents))
    for number, verdict in enumerate(verdicts):
        wanted = Finding.INFECTED if number % 3 == 0 else Finding.CLEAN
        assert verdict.finding is wanted


async def test_a_scanner_that_is_away_says_so(
    switch_off: tuple[Scanner, Callable[[], None]],
) -> None:
    scanner, off = switch_off
    assert (await scanner.check()).is_clean
    off()
    for verdict in (await scanner.scan(b"hello"), await scanner.check()):
        assert verdict.finding is Finding.UNAVAILABLE
        assert not verdict.is_clean
        assert verdict.reason
