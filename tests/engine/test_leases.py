"""A worker that user code cannot hang: what it holds it keeps, and what it has lost it lets go."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import App, Context, HookEvent, State
from toril.engine import leases
from toril.engine.standstill import StandstillWatch, elapsed_s

LEASE_S = 0.5


class Elsewhere:
    """A worker on a loop of its own in another thread, which its tasks may block."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()))
        self._loop: asyncio.AbstractEventLoop | None = None

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = self._app.worker(lease=LEASE_S, sweep=0.05)
        await self._worker.run()

    async def __aenter__(self) -> None:
        self._thread.start()

    async def __aexit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._worker.stop)
        await asyncio.to_thread(self._thread.join)


async def test_a_task_that_blocks_the_loop_keeps_its_job(
    tmp_path: Path, no_thread_left: None
) -> None:
    began, release = threading.Event(), threading.Event()
    runs: list[str] = []

    def block(name: str) -> None:
        runs.append(name)
        began.set()
        release.wait()

    async with file_app(tmp_path) as here, file_app(tmp_path) as there:

        @there.task()
        async def work() -> None:
            block("there")

        @here.task(name="work")
        async def work_here() -> None:
            runs.append("here")

        job = await work.enqueue()
        async with Elsewhere(there):
            await wait_until(began.is_set)
            blocked_s = time.monotonic()
            async with working(here, lease=LEASE_S, sweep=0.05):

                async def renewed_beyond_its_first_lease() -> bool:
                    left_s = (await job.info()).lease_remaining_s
                    assert left_s is not None
                    return time.monotonic() + left_s > blocked_s + 3 * LEASE_S

                await wait_until(renewed_beyond_its_first_lease)
                release.set()
                await job.result(timeout_s=60)

        info = await job.info()
        assert (runs, info.stalled, info.attempts_started) == (["there"], 0, 1)


async def test_the_task_that_blocks_the_loop_is_named(
    tmp_path: Path,
    no_thread_left: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(leases, "BLOCKED_S", 0.05)
    release = threading.Event()
    told: list[HookEvent] = []

    async with file_app(tmp_path) as app:
        app.on("blocked")(told.append)

        @app.task(name="resize")
        async def work() -> None:
            release.wait()

        await work.enqueue()
        with caplog.at_level(logging.WARNING, "toril.worker"):
            async with Elsewhere(app):
                await wait_until(lambda: "resize (job 1 of default) has blocked" in caplog.text)
                release.set()
                await wait_until(lambda: told)
    assert told[0].reason == "resize (job 1 of default)"
    assert 'give the task run_in="thread"' in caplog.text


@pytest.fixture
async def app(no_thread_left: None) -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_a_lost_lease_ends_the_attempt_and_its_outcome_is_dropped(
    app: App, run_in: str, caplog: pytest.LogCaptureFixture
) -> None:
    began = threading.Event()
    told: list[HookEvent] = []
    app.on("lease_lost")(told.append)
    app.on("failed")(told.append)

    async def on_loop(ctx: Context) -> None:
        began.set()
        await asyncio.Event().wait()

    def in_thread(ctx: Context) -> None:
        began.set()
        ctx.sleep(3600)

    task = app.task(name="wait", retry=ONCE)(on_loop if run_in == "loop" else in_thread)
    job = await task.enqueue()
    async with working(app, lease=0.3) as worker:
        await wait_until(began.is_set)
        await app.queue("default").pause()
        backend = app.backend()
        await backend.workers.declare_dead(worker.id)
        await backend.dispatch.recover(max_stalled=5, heartbeat_s=20, limit=10)
        await wait_until(lambda: told)

        info = await job.info()
        assert (info.state, info.attempts_made) == (State.WAIT, 0)
        assert [attempt.outcome for attempt in info.attempts] == ["stalled"]
        assert [event.name for event in told] == ["lease_lost"]
    assert "its late outcome (released) was dropped" in caplog.text


async def test_what_is_said_after_the_lease_was_lost_ends_the_attempt_too(app: App) -> None:
    spoke = asyncio.Event()
    ended = asyncio.Event()

    @app.task()
    async def talk(ctx: Context) -> None:
        try:
            await spoke.wait()
            ctx.log("am I still here?")
            await asyncio.Event().wait()
        finally:
            ended.set()

    job = await talk.enqueue()
    async with working(app, lease=3600) as worker:
        await wait_until(lambda: worker.busy == 1)
        await app.queue("default").pause()
        backend = app.backend()
        await backend.workers.declare_dead(worker.id)
        await backend.dispatch.recover(max_stalled=5, heartbeat_s=20, limit=10)
        spoke.set()
        await asyncio.wait_for(ended.wait(), 60)
    assert await job.logs() == []


async def test_the_lease_thread_survives_what_it_does_not_know(
    app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One surprise must not end the renewals of everything that the worker holds."""
    stays = asyncio.Event()
    left: list[Exception] = [RuntimeError("dictionary changed size"), ValueError("surprise")]
    beat = leases.LeaseKeeper._beat

    def surprising(self: leases.LeaseKeeper) -> None:
        if left:
            raise left.pop()
        beat(self)

    monkeypatch.setattr(leases, "BEAT_S", 0.0)
    monkeypatch.setattr(leases.LeaseKeeper, "_beat", surprising)

    @app.task()
    async def wait() -> None:
        await stays.wait()

    job = await wait.enqueue()
    async with working(app, lease=0.3):

        async def renewed() -> bool:
            info = await job.info()
            return not left and (info.lease_remaining_s or 0) > 0.25

        await wait_until(renewed)
        stays.set()
    assert caplog.text.count("leases could not be renewed, trying again") == 2


async def test_cancellation_from_elsewhere_is_heard_within_a_second(
    tmp_path: Path, no_thread_left: None
) -> None:
    """A job that had begun less than a second ago was not looked at: it took up to two seconds."""
    heard_s: list[float] = []
    assert leases.LONGEST_TICK_S + leases.YOUNG_S < 1

    async with file_app(tmp_path) as here, file_app(tmp_path) as there:
        began = asyncio.Semaphore(0)

        @there.task(retry=ONCE)
        async def work() -> None:
            began_s = time.monotonic()
            began.release()
            try:
                await asyncio.Event().wait()
            finally:
                heard_s.append(time.monotonic() - began_s)

        @here.task(name="work")
        async def work_here() -> None: ...

        async with working(there, concurrency=8):
            first_s = time.monotonic()
            for place in range(8):  # some begin soon before a look
                job = await work_here.enqueue()
                await began.acquire()
                await job.cancel("not wanted")
                after_s = first_s + (place + 1) * leases.LONGEST_TICK_S / 8
                await wait_until(partial(_is_past, after_s))
            await wait_until(lambda: len(heard_s) == 8)

    assert min(heard_s) < 1


def _is_past(moment_s: float) -> bool:
    return time.monotonic() >= moment_s


async def test_a_watch_that_was_stopped_leaves_no_timer() -> None:
    """A worker beside a program would leave it one that recurs for ever."""
    turns: list[float] = []
    watch = StandstillWatch(
        tick_s=0.01,
        lease_s=30.0,
        busy=lambda: False,
        went_on_s=elapsed_s,
        stood_s=lambda: -math.inf,
        woken=lambda stood_s: None,
        turned=turns.append,
    )
    watch.start()
    await wait_until(lambda: len(turns) >= 3)

    watch.stop()

    assert watch._timer is not None
    assert watch._timer.cancelled()
