"""A task that blocks its worker's event loop keeps its job, and its neighbours keep theirs."""

from __future__ import annotations

import pytest
from tests.faults.support import FULL, Say, Stage
from tests.support.waiting import wait_until

LEASE_S, BLOCK_S = (30.0, 60.0) if FULL else (1.2, 3.6)


@pytest.mark.parametrize("spin", [False, True], ids=["asleep", "spinning"])
async def test_task_that_blocks_the_loop_keeps_its_job_and_its_neighbours(
    stage: Stage, say: Say, spin: bool
) -> None:
    gate = stage.folder / "gate"
    options = {"queues": ["held", "blocking"], "lease": LEASE_S, "sweep": 0.2}
    holder = stage.worker(**options)
    neighbours = [await stage.add("held", "hold_until", path=str(gate)) for _ in range(3)]
    await stage.until_active(3)

    blocking = await stage.add("blocking", "block_the_loop", duration_s=BLOCK_S, spin=spin)
    await stage.until_active(4)
    thief = stage.worker(**options)
    await thief.ready()
    assert await blocking.result(timeout_s=BLOCK_S + 60) == holder.process.pid
    gate.touch()

    for job in neighbours:
        assert await job.result(timeout_s=60) == holder.process.pid
    assert thief.told("stalled") == []
    for job in (blocking, *neighbours):
        info = await job.info()
        assert (info.stalled, info.attempts_started) == (0, 1)
    await wait_until(lambda: holder.told("blocked"), what="the culprit to be named")
    assert "block_the_loop" in holder.told("blocked")[0]
    await stage.check_store()
    say(f"blocked for {BLOCK_S:g} s under a lease of {LEASE_S:g} s: 4 jobs kept, 0 stolen")
