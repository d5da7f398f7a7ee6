"""Verbs over many jobs, one chunk a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.support.contract import (
    HandWorker,
    Q,
    add,
    add_one,
    bring,
    counts,
    job,
    line,
    outcome,
    record,
    state,
    told,
)

from toril.core.errors import WrongStateError
from toril.engine.contract import Backend
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def finish_all(backend: Backend, worker: HandWorker, kind: Any, many: int) -> list[str]:
    """Add jobs, run them, return their ids."""
    ids = await add(backend, *(job(priority=number % 2) for number in range(many)))
    claimed = await worker.claim(limit=many)
    await worker.ask(outcomes=[outcome(one, kind, reason="r") for one in claimed])
    return [*ids[::2], *ids[1::2]]


async def in_chunks(chunk: Callable[[], Awaitable[int]]) -> list[int]:
    """Call until nothing is left; return how many each call did."""
    done: list[int] = []
    while not done or done[-1]:
        done.append(await chunk())
    return done


@pytest.mark.parametrize("kind", ["failed", "completed"])
async def test_many_finished_jobs_go_back_in_line_oldest_first(
    backend: Backend, worker: HandWorker, clock: ManualClock, kind: Any
) -> None:
    ids = await finish_all(backend, worker, kind, 7)
    before = await backend.events.latest(Q)

    done = await in_chunks(
        lambda: backend.bulk.retry(
            Q, State(kind), limit=3, finished_until_ms=clock.now_ms(), reset_attempts=True
        )
    )

    assert done == [3, 3, 1, 0]
    assert [*await line(backend, State.WAIT), *await line(backend, State.PRIORITIZED)] == ids
    told_of = [fields["jobId"] for _, fields in await told(backend, after=before)]
    assert told_of == sorted(ids, key=int)  # all finished in one millisecond: in order of number
    found = await record(backend, ids[0])
    assert (found.attempts_made, found.failed_reason, found.result) == (0, None, None)
    assert len(found.attempts) == 1


async def test_retry_many_leaves_what_finished_later(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await finish_all(backend, worker, "failed", 4)
    until_ms = clock.now_ms()
    clock.advance(0.001)
    await finish_all(backend, worker, "failed", 3)

    assert (
        await backend.bulk.retry(
            Q, State.FAILED, limit=100, finished_until_ms=until_ms, reset_attempts=False
        )
        == 4
    )
    assert (await counts(backend))[State.FAILED] == 3


async def test_many_delayed_jobs_become_ready_soonest_first(backend: Backend) -> None:
    ids = await add(backend, *(job(delay_ms=10_000 - number) for number in range(7)))

    done = await in_chunks(lambda: backend.bulk.promote(Q, limit=3))

    assert done == [3, 3, 1, 0]
    assert await line(backend, State.WAIT) == ids[::-1]


async def test_drain_removes_what_waits_and_nothing_else(
    backend: Backend, worker: HandWorker
) -> None:
    await finish_all(backend, worker, "failed", 2)
    await add(backend, job(), job("other"))
    await worker.claim()
    await add(backend, *(job() for _ in range(4)), *(job(priority=2) for _ in range(3)))
    delayed = await add_one(backend, delay_ms=1_000)
    before = await told(backend)

    done = await in_chunks(lambda: backend.bulk.drain(Q, delayed=False, limit=3))

    assert done == [3, 3, 1, 0]
    assert await counts(backend) == {State.FAILED: 2, State.ACTIVE: 1, State.DELAYED: 1}
    assert await state(backend, delayed) is State.DELAYED
    assert await counts(backend, "other") == {State.WAIT: 1}
    assert await told(backend) == before


async def test_drain_removes_delayed_jobs_too_when_told_to(backend: Backend) -> None:
    await add(backend, job(), job(priority=1), job(delay_ms=1_000))

    assert await backend.bulk.drain(Q, delayed=True, limit=100) == 3
    assert await counts(backend) == {}


@pytest.mark.parametrize("where", [State.COMPLETED, State.FAILED])
async def test_clean_removes_the_oldest_finished_jobs(
    backend: Backend, worker: HandWorker, clock: ManualClock, where: State
) -> None:
    ids: list[str] = []
    for _ in range(6):
        ids += await finish_all(backend, worker, where.value, 1)
        clock.advance(10)
    before = await backend.events.latest(Q)

    done = [await backend.bulk.clean(Q, where, older_than_ms=30_000, limit=3) for _ in range(3)]

    assert done == [ids[:3], ids[3:4], []]
    assert await line(backend, where) == ids[4:]
    assert await told(backend, after=before) == [
        ("cleaned", {"count": "3"}),
        ("cleaned", {"count": "1"}),
    ]


@pytest.mark.parametrize("where", [State.WAIT, State.PRIORITIZED, State.DELAYED])
async def test_clean_of_jobs_that_have_not_run_counts_from_when_they_were_added(
    backend: Backend, clock: ManualClock, where: State
) -> None:
    fields: dict[str, Any] = {
        State.WAIT: {},
        State.PRIORITIZED: {"priority": 3},
        State.DELAYED: {"delay_ms": 3_600_000},
    }[where]
    old = await add(backend, *(job(**fields) for _ in range(3)))
    clock.advance(60)
    young = await add(backend, *(job(lifo=True, **fields) for _ in range(3)))
    before = await backend.events.latest(Q)

    assert await backend.bulk.clean(Q, where, older_than_ms=60_000, limit=2) == old[:2]
    assert await backend.bulk.clean(Q, where, older_than_ms=60_000, limit=2) == old[2:]
    assert await backend.bulk.clean(Q, where, older_than_ms=60_000, limit=2) == []

    assert {*await line(backend, where)} == {*young}
    assert [await state(backend, job_id) for job_id in old] == [None, None, None]
    assert [fields["count"] for _, fields in await told(backend, after=before)] == ["2", "1"]


async def test_clean_finds_old_jobs_behind_many_young_ones(
    backend: Backend, clock: ManualClock
) -> None:
    old = await add_one(backend)
    clock.advance(60)
    for _ in range(5):
        await add(backend, *(job(lifo=True) for _ in range(500)))

    assert await backend.bulk.clean(Q, State.WAIT, older_than_ms=60_000, limit=10) == [old]
    assert await state(backend, old) is None
    assert await counts(backend) == {State.WAIT: 2_500}


async def test_clean_of_age_nothing_removes_all_of_a_state(
    backend: Backend, worker: HandWorker
) -> None:
    own = await bring(backend, worker, State.FAILED, job_id="ours")
    ids = await finish_all(backend, worker, "failed", 5)

    found = await backend.bulk.clean(Q, State.FAILED, older_than_ms=0, limit=100)
    assert sorted(found) == sorted([own, *ids])


@pytest.mark.parametrize("paused_first", [False, True])
async def test_bulk_verbs_on_an_unknown_queue_do_nothing(
    backend: Backend, paused_first: bool
) -> None:
    if paused_first:
        await backend.limits.pause(Q)
    before = await backend.counts.queues()

    assert await backend.bulk.promote(Q, limit=9) == 0
    assert await backend.bulk.drain(Q, delayed=True, limit=9) == 0
    for where in (State.WAIT, State.FAILED):
        assert await backend.bulk.clean(Q, where, older_than_ms=0, limit=9) == []
    assert (
        await backend.bulk.retry(
            Q, State.FAILED, limit=9, finished_until_ms=2**60, reset_attempts=True
        )
        == 0
    )
    assert await backend.counts.queues() == before


async def a_bit_of_everything(backend: Backend, worker: HandWorker) -> None:
    """Put jobs into every state but active."""
    await finish_all(backend, worker, "failed", 2)
    await finish_all(backend, worker, "completed", 2)
    ids = await add(backend, job(), job(priority=1), job(delay_ms=9), job(job_id="own"))
    for job_id in ids:
        await backend.logs.add(Q, job_id, "line", keep=9)


async def test_obliterated_queue_leaves_nothing(backend: Backend, worker: HandWorker) -> None:
    await a_bit_of_everything(backend, worker)
    await add_one(backend, "other")
    await backend.limits.set_concurrency(Q, 1)
    await backend.limits.set_rate(Q, 1, 60_000)
    await backend.limits.hold(Q, duration_ms=60_000)
    await backend.limits.pause(Q)

    done = await in_chunks(lambda: backend.bulk.obliterate(Q, force=False, limit=3))

    assert done == [3, 3, 2, 0]
    assert await backend.counts.queue(Q) is None
    assert [queue.name for queue in await backend.counts.queues()] == ["other"]
    assert await backend.events.latest(Q) == 0
    assert await told(backend) == []
    assert await backend.bulk.obliterate(Q, force=False, limit=3) == 0

    await add_one(backend, job_id="own")
    assert await backend.logs.read(Q, "own", start=0, limit=9) == ([], 0)
    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.paused, queue.concurrency, queue.rate_limit) == (False, None, None)
    assert (queue.completed_total, queue.failed_total) == (0, 0)
    assert [name for name, _ in await told(backend)] == ["added", "waiting"]
    assert len(await worker.claim()) == 1


async def test_queue_that_is_not_paused_is_not_obliterated(
    backend: Backend, worker: HandWorker
) -> None:
    await a_bit_of_everything(backend, worker)
    before = await counts(backend)

    with pytest.raises(WrongStateError, match="not paused"):
        await backend.bulk.obliterate(Q, force=True, limit=100)

    assert await counts(backend) == before


async def test_queue_with_running_jobs_is_obliterated_by_force_only(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job(), job())
    claimed = await worker.claim_one()
    await backend.limits.pause(Q)
    with pytest.raises(WrongStateError, match="running"):
        await backend.bulk.obliterate(Q, force=False, limit=100)
    assert await counts(backend) == {State.WAIT: 1, State.ACTIVE: 1}

    assert await backend.bulk.obliterate(Q, force=True, limit=100) == 2
    assert await worker.end(claimed, "completed") == "lease_lost"
    assert await backend.bulk.obliterate(Q, force=True, limit=100) == 0
    assert await worker.end(claimed, "completed") == "lease_lost"
    assert await backend.counts.queue(Q) is None
