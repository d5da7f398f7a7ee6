"""Several processes on one file: two workers and two producers, all at once."""

from __future__ import annotations

import time

import pytest
from tests.faults.support import FULL, Say, Stage

ROUNDS = 10 if FULL else 1
JOBS = 1_000
"""Of each producer. A queue keeps its newest 10,000 events, so no more than these are counted."""
QUEUES = ["loop", "thread"]


@pytest.mark.parametrize("round_", range(ROUNDS))
async def test_two_workers_and_two_producers_share_a_file(
    stage: Stage, say: Say, round_: int
) -> None:
    workers = [stage.worker(queues=QUEUES, concurrency=50) for _ in range(2)]
    for worker in workers:
        await worker.ready()
    began_s = time.monotonic()

    producers = [stage.producer(JOBS, together=25, queues=QUEUES) for _ in range(2)]
    for producer in producers:
        assert await producer.ended(deadline_s=60) == 0, producer.errors
    keys = {line for producer in producers for line in producer.lines}
    await stage.until_done(len(keys), deadline_s=60)
    took_s = time.monotonic() - began_s

    assert len(keys) == 2 * JOBS
    await stage.check_each_done_once(keys, QUEUES)
    assert set(stage.marks.values()) == {1}
    for program in stage.programs:
        assert "lock" not in program.errors
        assert "does not answer" not in program.errors
    for queue in QUEUES:
        taken = [
            int(event.job_id or 0) for event in await stage.events(queue) if event.name == "active"
        ]
        assert taken == sorted(taken), "first in, first out, whichever worker takes it"
    say(f"{len(keys)} jobs from 2 processes through 2 others in {took_s:.1f} s, each done once")
