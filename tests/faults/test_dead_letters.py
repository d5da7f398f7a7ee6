"""kill -9 while jobs fail for good: whatever the moment, each failure has one letter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import FULL, Say, Stage, WorkerProgram, open_stage
from tests.support.waiting import wait_until

ROUNDS, KILLS, JOBS = (20, 3, 400) if FULL else (2, 2, 150)
WORKERS = 3
ROUND_S = 120.0


@pytest.fixture(params=["file", "redis"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """A store of each kind; every process on it ends with the test."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    stage = open_stage(tmp_path, url=url)
    yield stage
    await stage.close()


def worker_of(stage: Stage) -> WorkerProgram:
    return stage.worker(queues=["dying"], concurrency=20, lease=1.0, sweep=0.5, max_stalled=1_000)


async def originals(stage: Stage) -> Counter[str]:
    """Return how many letters there are of each job."""
    found: Counter[str] = Counter()
    after: str | None = None
    while True:
        page = await stage.app.dead_letters().list(limit=1000, after=after)
        found.update(letter.original_job_id for letter in page.letters)
        after = page.next
        if after is None:
            return found


@pytest.mark.timeout(300 + ROUNDS * ROUND_S)
async def test_each_failure_has_one_letter_when_workers_are_killed(stage: Stage, say: Say) -> None:
    await stage.app.queue("dying").set_dead_letter("dead-letter")
    workers = [worker_of(stage) for _ in range(WORKERS)]
    for worker in workers:
        await worker.ready()
    wanted = 0

    for _ in range(ROUNDS):
        jobs = [await stage.add("dying", "die", duration_s=0.05) for _ in range(JOBS)]
        before, wanted = wanted, wanted + len(jobs)
        for after in sorted(random.sample(range(1, JOBS), KILLS)):

            async def has_failed(many: int = before + after) -> bool:
                return await _failed(stage) >= many

            await wait_until(has_failed, deadline_s=ROUND_S, what="the moment of the next kill")
            victim = random.randrange(WORKERS)
            workers[victim].kill()
            workers[victim] = worker_of(stage)

        async def all_failed(many: int = wanted) -> bool:
            return await _failed(stage) == many

        await wait_until(all_failed, deadline_s=ROUND_S, what="every job to fail")

    found = await originals(stage)
    assert len(found) == wanted
    assert set(found.values()) == {1}
    say(f"{wanted} failures, {ROUNDS * KILLS} kills: one letter each")


async def _failed(stage: Stage) -> int:
    info = await stage.app.queue("dying").info()
    return 0 if info is None else info.failed
