"""kill -9 of whoever drives an operation: another goes on, and each job is changed once."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from tests.faults.support import FULL, START_S, Say, Stage
from tests.support.contract import HandWorker, job, outcome, records, told
from tests.support.waiting import wait_until

from toril import App
from toril.backends import open_backend
from toril.engine.contract import Backend
from toril.engine.states import State

Q = "mail"
KILLS = 8 if FULL else 2
JOBS = 2_000
PATIENCE_S = 60.0


async def fill(backend: Backend) -> None:
    """Make jobs that have failed."""
    worker = HandWorker(backend)
    for start in range(0, JOBS, 500):
        many = min(500, JOBS - start)
        await backend.jobs.add([job(Q, data=f'{{"n":{start + n}}}') for n in range(many)])
        claimed = await worker.claim(Q, limit=many)
        await worker.ask(outcomes=[outcome(one, "failed", reason="boom") for one in claimed])


async def drive_and_kill(stage: Stage, app: App, operation_id: str, url: str) -> int:
    """Kill the drivers of an operation at random moments, then let one end it; return the kills."""
    operation = app.bulk.operation(operation_id)
    cut = 0
    for _ in range(KILLS):
        done = (await operation.info()).done
        if done == JOBS:
            break
        moment = random.randint(done + 1, JOBS)
        program = stage.command("operations", "run", operation_id, "--url", url)

        async def is_time(moment: int = moment) -> bool:
            return (await operation.info()).done >= moment

        await wait_until(is_time, deadline_s=START_S + PATIENCE_S, what="the moment of the kill")
        program.kill()
        cut += (await operation.info()).state == "running"
        # Its lease ends by itself; nobody has to know that it is dead.
    last = stage.command("operations", "run", operation_id, "--url", url)
    assert await last.ended(deadline_s=START_S + PATIENCE_S) == 0, last.errors
    return cut


@pytest.mark.timeout(300 + KILLS * 2 * PATIENCE_S)
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
async def test_retried_jobs_are_retried_once_when_drivers_are_killed(
    stage: Stage, say: Say, redis_url: str, kind: str
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{stage.folder}/bulk.db"
    backend = open_backend(url)
    async with App(url) as app:
        await fill(backend)
        before = await backend.events.latest(Q)
        operation = await app.bulk.retry(f"queue:{Q}", max_per_s=4 * JOBS / 10)

        cut = await drive_and_kill(stage, app, operation.id, url)

        info = await operation.info()
        events = await told(backend, Q, after=before)
        retried = Counter(fields["jobId"] for name, fields in events if name == "waiting")
        assert (info.state, info.done, info.refused) == ("done", JOBS, 0)
        assert len(retried) == JOBS
        assert set(retried.values()) == {1}
        assert len(await records(backend, State.WAIT, Q, page_size=500)) == JOBS
    await backend.lifecycle.close()
    say(f"{JOBS} jobs, {cut} drivers killed half-way: none missed, none twice")


@pytest.mark.timeout(300 + KILLS * 2 * PATIENCE_S)
@pytest.mark.parametrize("kind", ["redis", "sqlite"])
async def test_removed_jobs_come_back_whole_though_drivers_were_killed(
    stage: Stage, say: Say, redis_url: str, kind: str
) -> None:
    url = redis_url if kind == "redis" else f"sqlite:///{stage.folder}/bulk.db"
    backend = open_backend(url)
    async with App(url) as app:
        await fill(backend)
        whole = await records(backend, State.FAILED, Q, page_size=500)
        operation = await app.bulk.remove(f"queue:{Q}", max_per_s=4 * JOBS / 10)

        cut = await drive_and_kill(stage, app, operation.id, url)
        left = await records(backend, State.FAILED, Q, page_size=500)
        program = stage.command("operations", "undo", operation.id, "--url", url)
        assert await program.ended(deadline_s=START_S + PATIENCE_S) == 0, program.errors

        assert left == []
        found = await records(backend, State.FAILED, Q, page_size=500)
        assert {one.id: one for one in found} == {one.id: one for one in whole}
    await backend.lifecycle.close()
    say(f"{JOBS} jobs, {cut} drivers killed half-way: all back, whole")
