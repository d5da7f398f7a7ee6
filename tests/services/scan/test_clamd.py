"""clamd's own ways to say nothing: limits, silence, resets, nonsense. None of them is clean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from tests.services.scan.test_conformance import zipped
from tests.support.clamd import MAX_FILE_BYTES, SIGNATURE, STREAM_MAX_BYTES, Clamd

from toril import InvalidOptionError
from toril.services.scan.clamd import ClamdScanner
from toril.services.scan.memory import MemoryScanner, eicar
from toril.services.scan.port import Finding

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[str]:
    """Run a server in clamd's place."""

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_the_name_is_clamds(common_clamd: Clamd) -> None:
    assert (await ClamdScanner(common_clamd.unix).scan(eicar())).signature == SIGNATURE
    assert (await ClamdScanner(str(common_clamd.socket)).scan(eicar())).signature == SIGNATURE


@pytest.mark.parametrize("transport", ["unix", "tcp"])
async def test_content_over_clamds_own_limit_is_too_large(
    common_clamd: Clamd, transport: str
) -> None:
    scanner = ClamdScanner(getattr(common_clamd, transport), max_bytes=100 * STREAM_MAX_BYTES)
    verdict = await scanner.scan(b"x" * (20 * STREAM_MAX_BYTES))
    assert verdict.finding is Finding.TOO_LARGE
    assert "StreamMaxLength" in str(verdict.reason)


async def test_what_clamd_did_not_scan_whole_is_too_large(common_clamd: Clamd) -> None:
    scanner = ClamdScanner(common_clamd.unix)
    verdict = await scanner.scan(b"x" * (MAX_FILE_BYTES + 1000))
    assert verdict.finding is Finding.TOO_LARGE
    assert "not scanned whole" in str(verdict.reason)


async def test_a_clamd_that_dies_in_the_middle_is_unavailable_and_comes_back(
    own_clamd: Clamd,
) -> None:
    scanner = ClamdScanner(own_clamd.unix)

    async def dying() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        own_clamd.kill()
        for _ in range(50):
            yield b"x" * 1000

    verdict = await scanner.scan(dying())
    assert verdict.finding is Finding.UNAVAILABLE
    own_clamd.start()
    assert (await scanner.scan(b"hello")).is_clean


@pytest.mark.parametrize(
    ("reply", "finding"),
    [
        (b"stream: OK\0", Finding.CLEAN),
        (b"stream: OK\n", Finding.CLEAN),
        (b"stream: Win.Test.A B FOUND\0", Finding.INFECTED),
        (b"stream: Heuristics.Limits.Exceeded.MaxScanSize FOUND\0", Finding.TOO_LARGE),
        (b"INSTREAM size limit exceeded. ERROR\0", Finding.TOO_LARGE),
        (b"stream: Can't allocate memory ERROR\0", Finding.UNAVAILABLE),
        (b"stream: OK FOUNDER\0", Finding.UNAVAILABLE),
        (b"stream: okay\0", Finding.UNAVAILABLE),
        (b"other: OK\0", Finding.UNAVAILABLE),
        (b"HTTP/1.1 200 OK\r\n\r\n", Finding.UNAVAILABLE),
        (b"", Finding.UNAVAILABLE),
        (b"x" * 100_000, Finding.UNAVAILABLE),
        (b"\xff\0", Finding.UNAVAILABLE),
    ],
)
async def test_only_one_answer_is_clean(reply: bytes, finding: Finding) -> None:
    heard = bytearray()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not heard.endswith(bytes(4)):
            heard.extend(await reader.read(1000))
        for at in range(0, len(reply), 7 if len(reply) < 100 else 50_000):
            writer.write(reply[at : at + (7 if len(reply) < 100 else 50_000)])
            await asyncio.sleep(0)
        await writer.drain()

    async with served(answer) as address:
        verdict = await ClamdScanner(address).scan(b"hello")
    assert verdict.finding is finding
    assert bytes(heard) == b"zINSTREAM\0" + b"\0\0\0\5hello" + bytes(4)
    if finding is Finding.INFECTED:
        assert verdict.signature == "Win.Test.A B"


async def test_silence_ends_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with served(silent) as address:
        scanner = ClamdScanner(address, total_s=0.2, connect_s=0.2)
        verdict = await scanner.scan(b"hello")
        assert verdict.finding is Finding.UNAVAILABLE
        assert "no verdict within 0.2 s" in str(verdict.reason)
        assert "no answer within 0.2 s" in str((await scanner.check()).reason)


async def test_a_server_that_does_not_read_ends_in_time() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader.feed_data = lambda data: None  # type: ignore[method-assign]
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    async with served(deaf) as address:
        verdict = await ClamdScanner(address, total_s=0.3).scan(b"x" * 20_000_000)
        assert verdict.finding is Finding.UNAVAILABLE


async def test_check_wants_the_right_word() -> None:
    async def wrong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\0")
        writer.write(b"PONGO\0")

    async with served(wrong) as address:
        assert "it said 'PONGO'" in str((await ClamdScanner(address).check()).reason)


async def test_nobody_there_says_where(common_clamd: Clamd) -> None:
    missing = ClamdScanner(f"unix://{common_clamd.folder}/none.sock")
    verdict = await missing.scan(b"hello")
    assert verdict.finding is Finding.UNAVAILABLE
    assert verdict.reason == (
        f"unix://{common_clamd.folder}/none.sock: No such file or directory; is clamd running"
        " there?"
    )
    assert repr(missing).startswith("ClamdScanner('unix://")


@pytest.mark.parametrize(
    "address", ["", "clamd", "tcp://host", "tcp://:3310", "unix://host/path", "http://host:1",
                "tcp://host:0", "tcp://host:99999", "tcp://host:1/path", "unix:relative"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidOptionError, match="address="):
        ClamdScanner(address)


@pytest.mark.parametrize("option", ["max_bytes", "connect_s", "total_s"])
def test_options_are_above_zero(option: str) -> None:
    with pytest.raises(InvalidOptionError, match=f"{option}=0"):
        ClamdScanner(**{option: 0})  # type: ignore[arg-type]


async def test_the_memory_scanner_does_not_unpack_without_end() -> None:
    import io
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(200_000))
    scanner = MemoryScanner({"Own": b"abc"}, max_bytes=100_000)
    assert (await scanner.scan(file.getvalue())).finding is Finding.TOO_LARGE
    assert (await scanner.scan(b"xabcx")).signature == "Own"
    assert scanner.scanned == 2


async def test_the_memory_scanner_looks_into_four_archives_within_each_other() -> None:
    for levels, finding in ((4, Finding.INFECTED), (5, Finding.TOO_LARGE)):
        assert (await MemoryScanner().scan(zipped(eicar(), levels))).finding is finding
