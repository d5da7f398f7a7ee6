"""kill -9: whatever the moment, no job is lost and none is completed twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import FULL, Say, Stage, WorkerProgram, open_stage
from tests.support.waiting import wait_until

ROUNDS, KILLS = (20, 3) if FULL else (2, 3)
SHARES = (
    {"loop": 900, "thread": 900, "process": 200}
    if FULL
    else {"loop": 280, "thread": 280, "process": 40}
)
"""Jobs of a round, by queue."""
SLOTS = {"loop": 40, "thread": 20, "process": 2}
"""Of a worker, as weights."""
WORKERS = 3
ROUND_S = 120.0


@pytest.fixture(params=["file", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store of each kind; every process on it ends with the test."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def storm_worker(stage: Stage) -> WorkerProgram:
    # By default a job that loses its worker twice is failed: one that kills it would do so again.
    # Here the workers die for no fault of their jobs.
    return stage.worker(
        queues=SLOTS, concurrency=sum(SLOTS.values()), lease=1.0, sweep=0.5, max_stalled=1_000
    )


@pytest.mark.timeout(300 + ROUNDS * ROUND_S)
async def test_no_job_is_lost_or_done_twice_when_workers_are_killed(stage: Stage, say: Say) -> None:
    keys: set[str] = set()
    killed_running = 0
    # What one queue leaves the others get: without a limit, too many processes in the end.
    await stage.app.queue("process").set_concurrency(WORKERS * SLOTS["process"])
    workers = [storm_worker(stage) for _ in range(WORKERS)]
    for worker in workers:
        await worker.ready()

    for _ in range(ROUNDS):
        before = len(keys)
        keys |= await stage.add_marking(SHARES, 0.2)
        for after in sorted(random.sample(range(len(keys) - before), KILLS)):
            # At a side effect, whose outcome is still on its way, and not when it has arrived.
            await wait_until(
                lambda wanted=before + after: len(stage.marks) >= wanted,  # type: ignore[misc]
                deadline_s=ROUND_S,
                what="the moment of the next kill",
            )
            killed_running += await stage.figure("active")
            victim = random.randrange(WORKERS)
            workers[victim].kill()
            workers[victim] = storm_worker(stage)
        await stage.until_done(len(keys), deadline_s=ROUND_S)
        assert set(await stage.told("completed")) == keys

    await stage.check_each_done_once(keys)
    twice = sum(times > 1 for times in stage.marks.values())
    stalled = sum((await stage.told("stalled")).values())
    say(
        f"{ROUNDS} rounds of {len(keys) // ROUNDS} jobs, {ROUNDS * KILLS} kills with"
        f" {killed_running / ROUNDS / KILLS:.0f} jobs running on average: lost 0, completed twice"
        f" 0; {stalled} were taken back, {twice} of them had left their side effect already"
    )


async def test_jobs_of_a_worker_declared_dead_run_again_long_before_their_lease_ends(
    stage: Stage,
) -> None:
    gate = stage.folder / "gate"
    options = {"queues": ["held"], "lease": 3600.0, "sweep": 0.2}
    victim = stage.worker(**options)
    worker_id = await victim.ready()
    jobs = [await stage.add("held", "hold_until", path=str(gate)) for _ in range(5)]
    await stage.until_active(5)

    victim.kill()
    await stage.app.backend().workers.declare_dead(worker_id)
    other = stage.worker(**options)
    gate.touch()

    assert {await job.result(timeout_s=60) for job in jobs} == {other.process.pid}


async def test_acknowledged_job_is_there_after_its_producer_was_killed(stage: Stage) -> None:
    producer = stage.producer(1_000_000, together=1, queues=["loop", "thread"])
    await wait_until(lambda: len(producer.lines) >= 200, deadline_s=60, what="200 jobs")

    producer.kill()

    acknowledged = set(producer.lines)
    added = await stage.told("added", ["loop", "thread"])
    assert acknowledged <= set(added)
    # One may have been stored while its answer was under way.
    assert len(added) - len(acknowledged) <= 1
    await stage.check_store()
