"""A store that does not answer: outcomes are kept and sent again, and silence has an end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import ONCE, file_app
from tests.support.locks import locked
from tests.support.waiting import wait_until

from toril import App, HookEvent, InvalidOptionError, State, StoreBusyError
from toril.backends.sqlite import connection
from toril.engine.contract import Claim, Exchange
from toril.engine.executor import Executor
from toril.engine.flow_asking import FlowAsking
from toril.engine.hooks import Hooks
from toril.engine.job import Finished
from toril.engine.job_log import JobLog
from toril.engine.message_sender import MessageSender
from toril.engine.runners.processes import ProcessOptions
from toril.engine.unknown_tasks import UnknownTasks
from toril.engine.worker import Worker

pytestmark = pytest.mark.usefixtures("no_thread_left")


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.setattr(connection, "BUSY_S", 0.02)
    async with file_app(tmp_path) as app:
        yield app


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
        wake = asyncio.create_task(_keep_asking(worker))
        with pytest.raises(StoreBusyError):
            await asyncio.wait_for(running, 60)
        wake.cancel()
    assert [type(event.error) for event in told] == [StoreBusyError]
    assert "giving up" in caplog.text

    other = app.worker()  # and the next one finds everything in order
    again = await note.enqueue()
    await other.run(until_idle=True)
    assert await again.state() is State.COMPLETED


async def _keep_asking(worker: Worker) -> None:
    while True:  # an idle worker asks only when something happens
        worker.wake()
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
            await asyncio.to_thread(note.enqueue_sync)
    info = await app.queue("default").info()
    assert info is not None
    assert info.waiting == 1


async def test_a_claim_that_is_answered_while_the_worker_gives_back_goes_back_too(
    tmp_path: Path,
) -> None:
    """It was never told to stop: left active for others to count, or `cancelled from within`."""
    go, told_to_end, runs = asyncio.Event(), asyncio.Event(), list[str]()
    async with file_app(tmp_path) as app:

        @app.task(retry=ONCE)
        async def work(name: str) -> None:
            runs.append(name)
            try:
                await (go if name == "first" else asyncio.Event()).wait()
            except asyncio.CancelledError:
                told_to_end.set()
                raise

        jobs = [await work.enqueue(name) for name in ("first", "stays", "next")]
        worker = app.worker(concurrency=2, sweep=3600)
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: len(runs) == 2)
        with locked(tmp_path):
            go.set()  # its outcome goes with a claim, and the store does not answer yet
            await wait_until(lambda: worker.running == [f"work (job {jobs[1].id} of default)"])
            worker.stop()
            worker.stop()
            await asyncio.wait_for(told_to_end.wait(), 60)
        await running

        assert runs == ["first", "stays"]
        infos = [await job.info() for job in jobs]
        assert [info.state for info in infos] == [State.COMPLETED, State.WAIT, State.WAIT]
        assert [(info.attempts_made, info.stalled) for info in infos[1:]] == [(0, 0)] * 2
        assert await app.workers() == []


@pytest.mark.parametrize("order", range(8))
async def test_jobs_are_given_back_when_the_program_ends_around_its_worker(
    tmp_path: Path, order: int
) -> None:
    """`asyncio.run` cancels all tasks at its end: the jobs' were `cancelled from within`.

    It cancels them in any order. With the fetch loop after the jobs, a job stayed active.
    """
    del order  # by chance
    began = asyncio.Event()

    async def program() -> str:
        @app.task(retry=ONCE)
        async def work() -> None:
            began.set()
            await asyncio.Event().wait()

        job = await work.enqueue()
        working.append(asyncio.create_task(app.worker().run()))
        await began.wait()
        return job.id

    app = file_app(tmp_path)
    working: list[asyncio.Task[None]] = []
    job_id = await asyncio.to_thread(asyncio.run, program())
    async with app:
        info = await app.queue("default").job(job_id).info()
        assert (info.state, info.attempts_made, info.stalled) == (State.WAIT, 0, 0)


async def test_an_attempt_that_is_told_to_end_before_it_began_has_an_outcome(
    tmp_path: Path,
) -> None:
    """A task that is cancelled before its first step runs none: the job was held for ever."""
    async with file_app(tmp_path) as app:

        @app.task(retry=ONCE)
        async def work() -> None:
            """Do nothing."""

        job = await work.enqueue()
        outcomes: list[Finished] = []
        dispatch = app.backend().dispatch
        executor = Executor(
            app._registry, worker_id="w", middleware=(), hooks=Hooks(), processes=ProcessOptions(),
            unknown=UnknownTasks(
                app.backend().jobs, app._registry, policy="wait", patience_s=60, who="w"
            ),
            job_log=JobLog(Hooks()), together=dispatch.together,
            finished=lambda attempt, outcome: outcomes.append(outcome),
            sender=MessageSender(dispatch, refused=lambda message: None),
            asking=FlowAsking(app.backend().flows), ending=lambda: False,
        )  # fmt: skip
        claim = Claim("default", 1, 60_000)
        reply = await app.backend().dispatch.exchange(Exchange("w", (), [claim], 1))
        executor.start(reply.claimed[0], 60_000)
        (attempt,) = executor.running.values()
        attempt.stop("lease_lost", "in the same turn of the loop")
        await wait_until(lambda: outcomes)
        await executor.close()

    assert [(outcome.job_id, outcome.kind) for outcome in outcomes] == [(job.id, "released")]
    assert not executor.running


@pytest.mark.parametrize("job_id", ["\ud800", "half \ud83e", 5, None, b"5"])
async def test_id_that_no_job_can_have_is_refused_by_name(tmp_path: Path, job_id: Any) -> None:
    """It ended in a UnicodeEncodeError or an AttributeError, out of the store."""
    async with file_app(tmp_path) as app:
        with pytest.raises(InvalidOptionError, match=r"job_id=.*: expected text"):
            app.queue("default").job(job_id)
