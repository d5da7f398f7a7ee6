"""A worker whose number of jobs at once is changed while it runs, on both stores."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.engine.working import working
from tests.support.waiting import wait_until

from toril import App, InvalidOptionError, Settings, Worker, acting
from toril.engine.wishes import obey


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"


class Gate:
    """Counts the jobs that run, and lets them end."""

    def __init__(self) -> None:
        self.running = self.ended = 0
        self.most = 0
        self.places = asyncio.Semaphore(0)

    async def hold(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.places.acquire()
            self.ended += 1
        finally:
            self.running -= 1

    def let(self, many: int) -> None:
        for _ in range(many):
            self.places.release()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def app(url: str, gate: Gate, no_thread_left: None) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as app:

        @app.task(queue="gate")
        async def hold() -> None:
            await gate.hold()

        yield app


async def add(app: App, many: int) -> None:
    await app.queue("gate").add_many([("hold", {})] * many)


async def until_idle_claims(worker: Worker) -> None:
    """Wait until no claim is in flight that was made before this."""
    fetcher = worker._fetcher
    assert fetcher is not None
    await wait_until(lambda: not fetcher.in_flight.exchanges)


async def test_a_worker_that_grows_runs_more_at_once(app: App, gate: Gate) -> None:
    await add(app, 12)
    async with working(app, concurrency=2) as worker:
        await wait_until(lambda: gate.running == 2)

        worker.resize(7)

        await wait_until(lambda: gate.running == 7)
        gate.let(12)
        await wait_until(lambda: gate.ended == 12)
    assert gate.most == 7


async def test_a_worker_that_waits_for_jobs_grows(app: App, gate: Gate) -> None:
    async with working(app, concurrency=1) as worker:
        await until_idle_claims(worker)
        worker.resize(6)
        await add(app, 9)
        await wait_until(lambda: gate.running == 6)
        gate.let(9)
        await wait_until(lambda: gate.ended == 9)
    assert gate.most == 6


async def test_what_runs_goes_on_when_a_worker_shrinks(app: App, gate: Gate) -> None:
    await add(app, 12)
    async with working(app, concurrency=6) as worker:
        await wait_until(lambda: gate.running == 6)
        await until_idle_claims(worker)

        worker.resize(2)
        gate.let(3)
        await wait_until(lambda: gate.ended == 3 and worker.busy == 3)
        assert gate.running == 3  # more than there are slots: nothing new has begun

        gate.most = 0
        gate.let(9)
        await wait_until(lambda: gate.ended == 12)
    assert gate.most <= 2
    info = await app.queue("gate").info()
    assert info is not None
    assert (info.completed_total, info.failed_total, info.active) == (12, 0, 0)


async def test_an_idle_worker_that_shrinks_takes_no_more_than_it_may(app: App, gate: Gate) -> None:
    async with working(app, concurrency=8) as worker:
        await until_idle_claims(worker)
        worker.resize(1)
        fetcher = worker._fetcher
        assert fetcher is not None
        await wait_until(lambda: fetcher.in_flight.is_empty or fetcher._free >= 0)
        await add(app, 5)
        await wait_until(lambda: gate.running == 1)
        gate.let(5)
        await wait_until(lambda: gate.ended == 5)
    assert gate.most == 1


async def test_a_worker_changes_its_size_many_times_and_loses_nothing(app: App, gate: Gate) -> None:
    gate.let(300)
    async with working(app, concurrency=3) as worker:
        for step in range(60):
            await add(app, 5)
            worker.resize(1 + step * 7 % 11)
        await wait_until(lambda: gate.ended == 300)
        fetcher = worker._fetcher
        assert fetcher is not None
        await wait_until(lambda: worker.busy == 0)
        worker.resize(4)
        gate.most = 0
        await add(app, 9)
        await wait_until(lambda: gate.running == 4)
        gate.let(9)
        await wait_until(lambda: gate.ended == 309)
    assert gate.most == 4


async def test_a_worker_may_be_given_another_size_before_it_runs(app: App, gate: Gate) -> None:
    await add(app, 4)
    worker = app.worker(concurrency=1)
    worker.resize(3)
    async with worker:
        await wait_until(lambda: gate.running == 3)
        (info,) = await app.workers()
        assert info.concurrency == 3
        gate.let(4)
        await wait_until(lambda: gate.ended == 4)


@pytest.mark.parametrize("wrong", [0, -1, 100_001, True, 2.5, "9", None])
async def test_a_size_that_makes_no_sense_is_refused(app: App, wrong: object) -> None:
    worker = app.worker(concurrency=3)
    with pytest.raises(InvalidOptionError, match=r"concurrency=.*an integer from 1 to 100,000"):
        worker.resize(wrong)  # type: ignore[arg-type]
    assert worker.options.concurrency == 3
    with pytest.raises(InvalidOptionError, match=r"concurrency=.*an integer from 1 to 100,000"):
        await app.tell_worker(worker.id, "resize", concurrency=wrong)  # type: ignore[arg-type]


async def test_only_a_resize_takes_a_number(app: App) -> None:
    with pytest.raises(InvalidOptionError, match="concurrency=3: expected none"):
        await app.tell_worker("w", "pause", concurrency=3)


async def test_a_worker_is_told_its_size_from_elsewhere(
    app: App, url: str, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "toril.worker")
    await add(app, 9)

    async with App(url, settings=Settings()) as elsewhere, working(app, concurrency=2) as worker:
        await wait_until(lambda: gate.running == 2)
        with acting("user:jo"):
            assert await elsewhere.tell_worker(worker.id, "resize", concurrency=5)
        # Told within the same heartbeat; neither takes the place of the other.
        assert await elsewhere.tell_worker(worker.id, "pause")

        await wait_until(lambda: worker.paused and worker.options.concurrency == 5)

        async def is_known() -> bool:
            (info,) = await elsewhere.workers()
            return info.concurrency == 5

        await wait_until(is_known)
        assert gate.running == 2
        assert await elsewhere.tell_worker(worker.id, "resume")
        await wait_until(lambda: gate.running == 5)
        (entry,) = (await elsewhere.audit.page()).entries
        assert (entry.verb, entry.arguments["concurrency"]) == ("tell_worker", 5)
        gate.let(9)
        await wait_until(lambda: gate.ended == 9)
    assert f"worker {worker.id} was told to run 5 jobs at once" in caplog.text


async def test_a_worker_that_is_announced_again_is_known_by_its_new_size(
    app: App, gate: Gate
) -> None:
    async with working(app, concurrency=2) as worker:
        worker.resize(6)
        await app.backend().workers.deregister(worker.id)

        async def is_back() -> bool:
            return [info.concurrency for info in await app.workers()] == [6]

        await wait_until(is_back)


@pytest.mark.parametrize("size", ["0", "-3", "many", "", "9" * 30])
async def test_a_size_in_the_store_that_is_none_is_passed_over(
    app: App, caplog: pytest.LogCaptureFixture, size: str
) -> None:
    worker = app.worker(concurrency=3)
    obey(worker, f"resize:{size}:1")
    obey(worker, "resize")
    assert worker.options.concurrency == 3
    assert "was told" in caplog.text


async def test_a_job_is_claimed_at_once_when_a_full_worker_grows(app: App, gate: Gate) -> None:
    await add(app, 2)
    async with working(app, concurrency=1) as worker:
        await wait_until(lambda: gate.running == 1)
        await until_idle_claims(worker)
        worker.resize(2)
        await wait_until(lambda: gate.running == 2)
        gate.let(2)
    info = await app.queue("gate").info()
    assert info is not None
    assert info.waiting == 0
