"""SIGSTOP and SIGCONT: no coroutine of a worker acts again for a job that others have done."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import PROGRAMS, Program, Say, Stage, open_stage
from tests.faults.test_frozen import freeze
from tests.support.waiting import wait_until

MANY = 43
DURATION_S = 3.5
"""Longer than a standstill that is noticed."""
STARTERS = {
    "asyncio": ["--loop=asyncio"],
    "uvloop": ["--loop=uvloop"],
    "beside a program": None,
}


@pytest.fixture(params=["sqlite", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store, in a file or on a server."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def start(stage: Stage, starter: str) -> Program:
    more = STARTERS[starter]
    if more is None:
        return stage.worker(queues=["twice"], concurrency=MANY)
    return stage.command(
        "worker", f"{PROGRAMS}.tasks:app", "--queues=twice", f"--concurrency={MANY}", *more
    )


@pytest.mark.parametrize("starter", STARTERS)
async def test_frozen_coroutines_do_not_act_once_their_jobs_were_given_away(
    stage: Stage, starter: str, say: Say
) -> None:
    """On Redis all of them acted again: their timers were due before any lease was looked at."""
    frozen = start(stage, starter)
    await wait_until(lambda: stage.app.workers(), deadline_s=60, what="the worker")
    (worker,) = await stage.app.workers()
    for _ in range(MANY):
        await stage.add("twice", "mark_twice", duration_s=DURATION_S)
    await until_begun(stage, 1)

    if stage.store.exists():
        await freeze(stage, frozen)
    else:
        frozen.send(signal.SIGSTOP)
    assert await stage.app.declare_dead(worker.id) == MANY
    start(stage, starter)
    await until_begun(stage, 3)  # once more, and done
    assert set(stage.marks.values()) == {3}
    frozen.send(signal.SIGCONT)

    def let_go() -> bool:
        return frozen.errors.count("late outcome (released) was dropped") == MANY

    await wait_until(let_go, deadline_s=60, what="the worker to let go of all")
    assert set(stage.marks.values()) == {3}
    say(f"{MANY} coroutines were frozen, none acted again")


async def until_begun(stage: Stage, times: int) -> None:
    """Wait until all jobs have left so many marks."""
    await wait_until(
        lambda: sum(stage.marks.values()) == MANY * times, deadline_s=60, what=f"{times} marks each"
    )
