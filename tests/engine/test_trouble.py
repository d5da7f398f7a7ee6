"""A store that does not answer: outcomes are kept and sent again, and silence has an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
from tests.engine.working import file_app
from tests.support.waiting import wait_until

from toril import App, HookEvent, State, StoreBusyError
from toril.backends.sqlite import connection

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr(connection, "BUSY_S", 0.02)
    async with file_app(tmp_path) as app:
        yield app


@contextmanager
def locked(tmp_path: Path) -> Iterator[None]:
    """Hold the store's lock, as a process that hangs in a transaction does."""
    other = apsw.Connection(str(tmp_path / "toril.db"))
    other.set_busy_timeout(10_000)  # the worker may be writing right now
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


async def test_an_outcome_outlives_the_trouble_and_arrives_once(
    app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []
    gate = asyncio.Event()

    @app.task()
    async def work(n: int) -> int:
        await gate.wait()
        runs.append(n)
        return n

    jobs = await work.enqueue_many({"n": n} for n in range(5))
    worker = app.worker(sweep=3600)
    running = asyncio.create_task(worker.run())
    await wait_until(lambda: worker.busy == 5)
    with caplog.at_level(logging.WARNING, "toril.worker"):
        with locked(tmp_path):
            gate.set()
            await wait_until(lambda: "the store does not answer" in caplog.text)
            assert worker.busy == 5
        assert [await job.result(20) for job in jobs] == list(range(5))
        await wait_until(lambda: "the store answers again" in caplog.text)
    worker.stop()
    await running

    assert sorted(runs) == list(range(5))
    assert [(await job.info()).attempts_started for job in jobs] == [1] * 5


async def test_a_store_silent_for_too_long_ends_the_worker_with_its_error(
    app: App, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[HookEvent] = []
    app.on("error")(told.append)

    @app.task()
    async def note() -> None: ...

    worker = app.worker(stale_after=0.2)
    running = asyncio.create_task(worker.run())
    await worker.ready()
    job = await note.enqueue()
    await job.result(20)
    with locked(tmp_path):
        wake = asyncio.create_task(_keep_asking(app))
        with pytest.raises(StoreBusyError):
            await asyncio.wait_for(running, 30)
        wake.cancel()
    assert [type(event.error) for event in told] == [StoreBusyError]
    assert "giving up" in caplog.text

    other = app.worker()  # and the next one finds everything in order
    again = await note.enqueue()
    await other.run(until_idle=True)
    assert await again.state() is State.COMPLETED


async def _keep_asking(app: App) -> None:
    while True:  # an idle worker asks only when something happens
        app.backend().dispatch.wake()
        await asyncio.sleep(0.01)


async def test_adding_to_a_store_that_does_not_answer_raises_and_adds_nothing(
    app: App, tmp_path: Path
) -> None:
    @app.task()
    async def note() -> None: ...

    await note.enqueue()
    with locked(tmp_path):
        with pytest.raises(StoreBusyError):
            await note.enqueue()
        with pytest.raises(StoreBusyError):
            note.enqueue_sync()
    info = await app.queue("default").info()
    assert info is not None
    assert info.waiting == 1
