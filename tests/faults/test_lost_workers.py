"""kill -9 with default options: another worker runs the jobs again within ten seconds."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import PROGRAMS, Program, Say, Stage, open_stage
from tests.support.waiting import wait_until

SLACK_S = 5.0
"""For a machine that is busy: both processes may be kept from the processor."""


@pytest.fixture(params=["sqlite", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store, in a file or on a server."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


async def start(stage: Stage, queue: str) -> Program:
    """Start `toril worker` as anybody does, and wait until it is at work."""
    worker = stage.command("worker", f"{PROGRAMS}.tasks:app", f"--queues={queue}")
    await wait_until(
        lambda: "started: Toril" in worker.errors or not worker.is_alive,
        deadline_s=60,
        what="a worker",
    )
    return worker


async def test_jobs_of_a_killed_worker_run_again_within_ten_seconds(stage: Stage, say: Say) -> None:
    """It took 20 to 35 s."""
    victim = await start(stage, "twice")
    await stage.add("twice", "mark_twice", duration_s=3600.0)
    await wait_until(lambda: sum(stage.marks.values()) == 1, deadline_s=60, what="it to run")
    await start(stage, "twice")

    victim.send(signal.SIGKILL)
    killed_s = time.monotonic()
    await wait_until(
        lambda: sum(stage.marks.values()) == 2, deadline_s=10 + SLACK_S, what="another run"
    )
    say(f"ran again {time.monotonic() - killed_s:.1f} s after its worker was killed")


async def test_a_short_freeze_costs_a_worker_no_job(stage: Stage, say: Say) -> None:
    """A pause of some seconds, of the collector or of the machine, is no death."""
    frozen = await start(stage, "twice")
    job = await stage.add("twice", "mark_twice", duration_s=8.0)
    await wait_until(lambda: sum(stage.marks.values()) == 1, deadline_s=60, what="it to run")
    await start(stage, "twice")

    frozen.send(signal.SIGSTOP)
    until_s = time.monotonic() + 4.0
    await wait_until(lambda: time.monotonic() >= until_s, what="the end of the pause")
    frozen.send(signal.SIGCONT)
    await wait_until(lambda: sum(stage.marks.values()) == 2, deadline_s=60, what="its end")

    async def completed() -> bool:
        return (await job.info()).state == "completed"

    await wait_until(completed, deadline_s=60)
    info = await job.info()
    assert (info.stalled, info.attempts_started) == (0, 1)
    say("a pause of 4 s cost nothing")
