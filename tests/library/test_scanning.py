"""`scanning.scan` on a real clamd and on the memory scanner: clean only by its word."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.clamd import SIGNATURE, Clamd, running_clamd
from tests.support.waiting import wait_until

from toril import App, Job, JobOptions, RetryPolicy, State
from toril.library.scanning.tasks import scan, scanning
from toril.services.scan.clamd import ClamdScanner
from toril.services.scan.memory import MemoryScanner, eicar
from toril.services.scan.port import Scanner
from toril.services.sources.opening import OpenSources
from toril.services.sources.port import OpenSource, Source, Sources, SourceUnavailableError
from toril.testing import MemoryApp


@pytest.fixture
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clamd]:
    """A clamd that may be killed."""
    with running_clamd(tmp_path_factory.mktemp("clamd")) as clamd:
        yield clamd


def set_up(app: App, scanner: Scanner, root: Path) -> None:
    """Give the family what it needs."""
    app.include(scanning)
    app.provide(scanner, Scanner)
    app.provide(OpenSources(root=root), Sources)


async def add(app: App, **payload: Any) -> Job[Any]:
    """Add a scan by its name, as others do."""
    now = JobOptions(backoff="fixed", backoff_s=0.0)
    return await app.queue("scanning").add("scanning.scan", payload, now)


async def test_clean_infected_and_too_large_are_results(tmp_path: Path) -> None:
    (tmp_path / "clean.txt").write_bytes(b"hello" * 1000)
    (tmp_path / "bad.png").write_bytes(eicar())
    (tmp_path / "big.bin").write_bytes(bytes(10_001))
    async with MemoryApp() as app:
        set_up(app, MemoryScanner(max_bytes=10_000), tmp_path)
        clean = await add(app, filePath="clean.txt")
        bad = await add(app, filePath="bad.png")
        big = await add(app, filePath="big.bin")
        missing = await add(app, filePath="none")
        await app.run_until_idle()
        assert (await clean.info()).result == {
            "verdict": "clean",
            "clean": True,
            "bytes": 5000,
            "sha256": hashlib.sha256(b"hello" * 1000).hexdigest(),
        }
        assert (await bad.info()).result == {
            "verdict": "infected",
            "clean": False,
            "signature": "Eicar-Test",
            "bytes": len(eicar()),
            "sha256": hashlib.sha256(eicar()).hexdigest(),
        }
        assert (await big.info()).result == {
            "verdict": "too_large",
            "clean": False,
            "reason": "it has 10,001 bytes; at most 10,000 are taken",
        }
        info = await missing.info()
        assert (info.state, info.attempts_made) == (State.FAILED, 1)
        assert "there is no such file" in str(info.failed_reason)


async def test_without_a_verdict_the_job_is_tried_again_and_never_clean(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    scanner = MemoryScanner()
    scanner.is_available = False
    async with MemoryApp() as app:
        set_up(app, scanner, tmp_path)
        job = await add(app, filePath="a")
        await app.run_until_idle()
        info = await job.info()
        assert (info.state, info.attempts_made) == (State.FAILED, 5)
        assert info.result is None
        assert info.failed_reason == (
            "ScannerUnavailableError: filePath 'a': no verdict: the memory scanner was switched off"
        )


async def test_on_a_clamd_that_dies_and_comes_back(tmp_path: Path, clamd: Clamd) -> None:
    (tmp_path / "a").write_bytes(b"hello")
    (tmp_path / "bad").write_bytes(eicar())
    url = f"sqlite:///{tmp_path}/toril.db?durability=normal"
    async with App(url) as app:
        set_up(app, ClamdScanner(clamd.unix), tmp_path)
        soon = app.bound(scan).with_options(backoff="fixed", backoff_s=0.05, max_attempts=1000)
        async with app.worker():
            bad = await soon.enqueue(file_path="bad")
            result = await bad.result(timeout_s=30)
            assert (result.clean, result.signature) == (False, SIGNATURE)
            clamd.kill()
            job = await soon.enqueue(file_path="a")

            async def tried() -> bool:
                return (await job.info()).attempts_made >= 2

            await wait_until(tried, what="two attempts without a clamd")
            assert (await job.info()).result is None
            clamd.start()
            assert (await job.result(timeout_s=30)).clean


async def test_a_file_that_is_cut_meanwhile_is_not_clean(tmp_path: Path) -> None:
    class Shrinking:
        """Opens a file, and cuts it then."""

        @asynccontextmanager
        async def open(self, source: Source, *, max_bytes: int) -> AsyncIterator[OpenSource]:
            async with OpenSources(root=tmp_path).open(source, max_bytes=max_bytes) as opened:
                (tmp_path / "a").write_bytes(b"hel")
                yield opened

    (tmp_path / "a").write_bytes(b"hello")
    async with MemoryApp() as app:
        app.include(scanning)
        app.provide(MemoryScanner(), Scanner)
        app.provide(Shrinking(), Sources)
        job = await app.bound(scan).with_options(max_attempts=1).enqueue(file_path="a")
        await app.run_until_idle()
        assert "changed while it was scanned, from 5 to 3 bytes" in str(
            (await job.info()).failed_reason
        )


async def test_a_source_that_is_away_is_tried_again() -> None:
    class Away:
        """Opens nothing at present."""

        @asynccontextmanager
        async def open(self, source: Source, *, max_bytes: int) -> AsyncIterator[OpenSource]:
            raise SourceUnavailableError(f"{source}: its server answered 503")
            yield

    async with MemoryApp() as app:
        app.include(scanning)
        app.provide(MemoryScanner(), Scanner)
        app.provide(Away(), Sources)
        job = await add(app, objectKey="k")
        await app.run_until_idle()
        assert (await job.info()).attempts_made == 5


def test_its_promises() -> None:
    assert scan.options.retry == RetryPolicy(
        max_attempts=5, base_s=5.0, give_up_on=scan.options.retry.give_up_on
    )
    assert (scan.queue, scan.name, scan.run_in) == ("scanning", "scanning.scan", "loop")
