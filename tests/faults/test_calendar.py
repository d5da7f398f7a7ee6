"""The calendar is put back and forward by an hour during work: leases do not notice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.faults.programs.movable_clock import MovableClock
from tests.faults.support import FULL, Say, Stage
from tests.support.waiting import wait_until

from toril import App, Job, JobOptions
from toril.engine.idling import MAX_SLEEP_S

HOUR_S = 3600


@pytest.mark.parametrize("jump_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
async def test_calendar_that_jumps_takes_no_job_from_a_live_worker(
    stage: Stage, say: Say, jump_s: int
) -> None:
    clock = MovableClock(stage.calendar)
    stage.app = App(stage.app.url, clock=clock)
    gate = stage.folder / "gate"
    queues = ["held", "loop", "thread"]
    workers = [stage.worker(queues=queues, concurrency=20, lease=3.0, sweep=0.2) for _ in range(2)]
    for worker in workers:
        await worker.ready()
    held = [await stage.add("held", "hold_until", path=str(gate)) for _ in range(4)]
    keys = await stage.add_marking({"loop": 400, "thread": 400}, 0.1)
    await wait_until(lambda: len(stage.marks) > 100, deadline_s=60, what="the workers to be busy")

    clock.move_calendar(jump_s)
    await stage.until_done(len(keys), deadline_s=60)
    keys |= await stage.add_marking({"loop": 20}, 0.0)
    await stage.until_done(len(keys), deadline_s=60)
    gate.touch()
    await stage.until_done(len(keys) + len(held), deadline_s=60)

    assert set(stage.marks.values()) == {1}
    for worker in workers:
        assert worker.told("stalled") == []
        assert worker.told("lease_lost") == []
    await stage.check_each_done_once(keys, ["loop", "thread"])
    say(f"{len(keys) + len(held)} jobs under way or later, none taken back, each done once")


async def test_delayed_job_is_due_by_the_calendar_or_when_its_wait_is_over(stage: Stage) -> None:
    """Sooner when the calendar is put forward, no later when it is put back, and never lost.

    A wait of a second that was written by a calendar ahead took as long as that was ahead.
    """
    clock = MovableClock(stage.calendar)
    stage.app = App(stage.app.url, clock=clock)
    await stage.worker(queues=["loop"]).ready()
    half_an_hour = await add_delayed(stage, HOUR_S / 2)
    two_hours = await add_delayed(stage, HOUR_S * 2)

    clock.move_calendar(HOUR_S)
    await look_again(stage)
    await half_an_hour.result(timeout_s=2 * MAX_SLEEP_S)
    assert await two_hours.state() == "delayed"

    a_second = await add_delayed(stage, 1.0)
    clock.move_calendar(0)
    await a_second.result(timeout_s=2 * MAX_SLEEP_S)
    assert await two_hours.state() == "delayed"
    await stage.check_store()


async def add_delayed(stage: Stage, delay_s: float) -> Job[Any]:
    return await stage.app.queue("loop").add("mark_on_loop", {}, JobOptions(delay_s=delay_s))


async def look_again(stage: Stage) -> None:
    """Have the worker ask for work now; else it does so after `MAX_SLEEP_S` at most."""
    if not FULL:
        job = await stage.add("loop", "mark_on_loop")
        await job.result(timeout_s=60)
