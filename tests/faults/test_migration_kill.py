"""kill -9 of a move: whatever the moment, the next run ends it, and each job is there once."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.faults.support import FULL, START_S, Program, Say, Stage
from tests.support.contract import HandWorker, job, line, outcome, records
from tests.support.waiting import wait_until

from toril.backends import open_backend
from toril.engine.contract import Backend
from toril.engine.job import WholeJob
from toril.engine.states import State

Q = "moving"
ROUNDS, KILLS = (20, 3) if FULL else (3, 2)
"""How often the queue goes over, and how often that is cut short each time."""
JOBS = 6_000
ROUND_S = 60.0

LINE = (State.WAIT, State.PRIORITIZED, State.DELAYED)


async def fill(backend: Backend) -> None:
    """Make jobs of all states, some with logs."""
    worker = HandWorker(backend)
    done = JOBS // 4
    await backend.jobs.add([job(Q, data=f'{{"n":{number}}}') for number in range(done)])
    claimed = await worker.claim(Q, limit=done)
    for one in claimed[::50]:
        await backend.logs.add(Q, one.id, f"line of {one.id}", keep=10)
    await worker.ask(
        outcomes=[
            outcome(one, "failed" if index % 3 == 0 else "completed", reason="boom")
            for index, one in enumerate(claimed)
        ]
    )
    rest = range(JOBS - done)
    for start in rest[::1_000]:
        await backend.jobs.add(
            [
                job(
                    Q,
                    priority=number % 4,
                    delay_ms=3_600_000 + number // 7 if number % 3 == 0 else 0,
                    lifo=number % 5 == 0,
                    job_id=f"own-{number}" if number % 11 == 0 else None,
                )
                for number in rest[start : start + 1_000]
            ]
        )


async def contents(backend: Backend) -> tuple[dict[str, WholeJob], dict[State, list[str]]]:
    """Return all jobs by id, and the ids in line in order; no id may come twice."""
    found: dict[str, WholeJob] = {}
    total = 0
    for where in State:
        jobs = await records(backend, where, Q, page_size=500)
        logs = await backend.moving.logs(Q, [each.id for each in jobs])
        found |= {each.id: WholeJob(each, log) for each, log in zip(jobs, logs, strict=True)}
        total += len(jobs)
    assert len(found) == total
    return found, {where: await line(backend, where, Q, page_size=500) for where in LINE}


async def many(backend: Backend) -> int:
    found = await backend.counts.queue(Q)
    return 0 if found is None else sum(found.counts.values())


@asynccontextmanager
async def opened(*urls: str) -> AsyncIterator[list[Backend]]:
    backends = [open_backend(url) for url in urls]
    yield backends
    for backend in backends:
        await backend.lifecycle.close()


async def half_way(program: Program, source: Backend, target: Backend) -> None:
    """Wait for a random moment of a move, or for its end.

    What has arrived has not left at once: that is the moment that matters most.
    """
    arrived = random.randint(await many(target), JOBS)
    left = random.randint(0, await many(source))

    async def is_time() -> bool:
        if not program.is_alive:
            return True
        return await many(target) > arrived or await many(source) < left

    await wait_until(is_time, deadline_s=START_S + ROUND_S, what="the moment of the kill")


@pytest.mark.timeout(300 + ROUNDS * (KILLS + 1) * ROUND_S)
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
async def test_each_job_is_there_once_when_moves_are_killed(
    stage: Stage, say: Say, redis_url: str, kind: str
) -> None:
    """Between a file and another store, to and fro."""
    here = f"sqlite:///{stage.folder}/here.db"
    there = redis_url if kind == "redis" else f"sqlite:///{stage.folder}/there.db"
    cut = both = 0
    async with opened(here, there) as (source, target):
        await fill(source)
        expected = await contents(source)
        for _ in range(ROUNDS):
            words = ("migrate", "--from", here, "--to", there)
            for _ in range(KILLS):
                program = stage.command(*words)
                await half_way(program, source, target)
                program.kill()
                twice = await many(source) + await many(target) - JOBS
                assert twice >= 0
                cut += await many(source) > 0
                both += twice > 0
            last = stage.command(*words)
            assert await last.ended(deadline_s=START_S + ROUND_S) == 0, last.errors
            assert await contents(target) == expected
            assert await many(source) == 0
            for backend, is_paused in ((source, True), (target, False)):
                queue = await backend.counts.queue(Q)
                assert queue is not None
                assert queue.paused is is_paused
            source, target, here, there = target, source, there, here
    say(
        f"{ROUNDS} moves of {JOBS} jobs, {ROUNDS * KILLS} kills, {cut} of them half-way and {both}"
        " with jobs in both stores: lost 0, doubled 0"
    )
