"""A worker that is told to stop in the middle of everything: no job pays for it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import FULL, PROGRAMS, Program, Stage, open_stage
from tests.support.waiting import wait_until

STORES = ["sqlite", "redis"]


@pytest.fixture(params=STORES)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store, in a file or on a server."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


async def test_two_signals_at_once_cost_no_job_anything(stage: Stage) -> None:
    """Claims that were answered meanwhile failed as `cancelled from within`, or stayed active."""
    many = 600
    jobs = [await stage.add("loop", "mark_on_loop", duration_s=0.02) for _ in range(many)]
    for number in range(12 if FULL else 4):
        worker = stage.command("worker", f"{PROGRAMS}.tasks:app", "--queues=loop", "-c", "10")
        await until_busy(stage, worker)
        worker.send(signal.SIGTERM)
        await asyncio.sleep(0.004 * number)  # the span between the two is what is tried here
        worker.send(signal.SIGTERM)

        assert await worker.ended(deadline_s=60) == 0, worker.errors
        assert await stage.figure("active") == 0

    assert 0 < await stage.figure("waiting") < many
    for job in jobs:
        info = await job.info()
        assert info.stalled == 0
        assert info.failed_reason is None
        assert {attempt.outcome for attempt in info.attempts} <= {"released", "completed"}
    assert set(stage.marks.values()) == {1}


@pytest.mark.parametrize("kind", ["worker", "keeper"])
async def test_signals_that_arrive_while_python_ends_change_nothing(
    stage: Stage, kind: str
) -> None:
    """The interpreter's end gave the handlers back, and the next SIGTERM made the code -15."""
    more = [] if kind == "worker" else ["--processes=2"]
    worker = stage.command("worker", f"{PROGRAMS}.tasks:app", "--queues=loop", *more)
    started = "started: Toril" if kind == "worker" else "[1"
    last = " stopped" if kind == "worker" else "all worker processes have ended"
    await wait_until(lambda: "started: Toril" in worker.errors, deadline_s=60, what=started)

    worker.send(signal.SIGTERM)
    await wait_until(lambda: last in worker.errors or not worker.is_alive, deadline_s=60, what=last)
    await told_again_and_again(worker)

    assert worker.process.returncode == 0, worker.errors


async def until_busy(stage: Stage, worker: Program) -> None:
    """Wait until some jobs were done, beside those before."""
    before = len(stage.marks)
    await wait_until(
        lambda: len(stage.marks) > before + 15 or not worker.is_alive,
        deadline_s=60,
        what="the worker to be busy",
    )


async def told_again_and_again(worker: Program) -> None:
    """Send it signals until it is no more."""
    until_s = time.monotonic() + 60
    while worker.is_alive:
        assert time.monotonic() < until_s
        worker.send(signal.SIGTERM)
        await asyncio.sleep(0)
