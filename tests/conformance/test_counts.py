"""Figures of queues."""

from __future__ import annotations

from tests.support.contract import HandWorker, Q, add, add_one, counts, job, outcome

from toril.engine.contract import Backend
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def test_queue_that_nobody_named_is_none(backend: Backend) -> None:
    assert await backend.counts.queue(Q) is None
    assert await backend.counts.queues() == []


async def test_looking_does_not_make_a_queue(backend: Backend, worker: HandWorker) -> None:
    await backend.jobs.get(Q, "1")
    await worker.ask(Q)
    await backend.events.latest(Q)
    await backend.jobs.remove(Q, "1")

    assert await backend.counts.queues() == []


async def test_new_queue_has_every_count_at_nought(backend: Backend) -> None:
    await backend.limits.pause(Q)

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert queue.counts == dict.fromkeys(State, 0)
    assert (queue.completed_total, queue.failed_total, queue.oldest_waiting_ms) == (0, 0, None)


async def test_queues_come_by_name(backend: Backend) -> None:
    await add(backend, job("b"), job("a"), job("c"), job("B"))

    assert [queue.name for queue in await backend.counts.queues()] == ["B", "a", "b", "c"]


async def test_totals_count_what_was_not_kept_too(backend: Backend, worker: HandWorker) -> None:
    await add(backend, *(job() for _ in range(10)))
    claimed = await worker.claim(limit=10)
    await worker.ask(
        outcomes=[outcome(one, "completed", keep_count=0) for one in claimed[:6]]
        + [outcome(one, "failed", keep_count=1) for one in claimed[6:]]
    )

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (6, 4)
    assert await counts(backend) == {State.FAILED: 1}


async def test_totals_do_not_shrink_when_jobs_go(backend: Backend, worker: HandWorker) -> None:
    job_id = await add_one(backend)
    await worker.end(await worker.claim_one(), "completed")
    await backend.jobs.retry(Q, job_id, reset_attempts=True)
    await worker.end(await worker.claim_one(), "completed")
    await backend.jobs.remove(Q, job_id)

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert queue.completed_total == 2


async def test_age_is_that_of_the_job_next_in_line(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add_one(backend, priority=1)
    clock.advance(5)
    await add_one(backend)
    clock.advance(2)

    ages = []
    for _ in range(3):
        queue = await backend.counts.queue(Q)
        assert queue is not None
        ages.append(queue.oldest_waiting_ms)
        await worker.claim()

    assert ages == [2_000, 7_000, None]


async def test_counts_hold_through_a_long_line(backend: Backend, worker: HandWorker) -> None:
    for _ in range(10):
        await add(backend, *(job() for _ in range(1_000)))
    claimed = await worker.claim(limit=3_000)
    await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])

    assert await counts(backend) == {State.WAIT: 7_000, State.COMPLETED: 3_000}


async def test_totals_are_raised_and_never_lowered(backend: Backend, worker: HandWorker) -> None:
    """Those of a queue that has a past in another store."""
    await add(backend, job(), job(), job())
    claimed = await worker.claim(limit=2)
    await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])

    await backend.counts.raise_totals(Q, completed=100, failed=7)
    await backend.counts.raise_totals(Q, completed=40, failed=8)
    await worker.end(await worker.claim_one(), "failed", reason="r")
    await backend.bulk.clean(Q, State.COMPLETED, older_than_ms=0, limit=9)
    await backend.counts.raise_totals(Q, completed=0, failed=0)

    queue = await backend.counts.queue(Q)
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (100, 9)


async def test_raising_totals_makes_the_queue(backend: Backend) -> None:
    await backend.counts.raise_totals("elsewhere", completed=3, failed=0)

    queue = await backend.counts.queue("elsewhere")
    assert queue is not None
    assert (queue.completed_total, queue.failed_total) == (3, 0)


async def test_what_waits_is_counted_by_priority(backend: Backend, worker: HandWorker) -> None:
    ranks = [0, 0, 0, 1, 5, 5, 5, 5, 6, 2_097_151, 2_097_151]
    await add(backend, *(job(priority=rank) for rank in ranks))
    await add(backend, job(priority=5, delay_ms=1_000), job("other", priority=5))
    await add_one(backend, priority=5, lifo=True)
    await worker.claim()

    found = await backend.counts.by_priority(Q, [5, 0, 1, 2, 4, 6, 2_097_151])

    assert found == [5, 2, 1, 0, 0, 1, 2]
    assert await backend.counts.by_priority(Q, []) == []


async def test_change_of_priority_is_counted(backend: Backend) -> None:
    job_id = await add_one(backend, priority=5)
    await backend.jobs.change_priority(Q, job_id, priority=4, lifo=True)
    assert await backend.counts.by_priority(Q, [0, 3, 4, 5]) == [0, 0, 1, 0]

    await backend.jobs.change_priority(Q, job_id, priority=0, lifo=False)
    assert await backend.counts.by_priority(Q, [0, 4]) == [1, 0]


async def test_priorities_of_an_unknown_queue_are_noughts_and_make_none(backend: Backend) -> None:
    assert await backend.counts.by_priority("elsewhere", [0, 1]) == [0, 0]
    assert await backend.counts.queues() == []


async def test_search_lists_the_same_where_nobody_else_made_queues(backend: Backend) -> None:
    await add(backend, job("a"), job("b"))
    await backend.limits.pause("c")

    assert await backend.counts.queues(search=True) == await backend.counts.queues()
    assert [queue.name for queue in await backend.counts.queues()] == ["a", "b", "c"]
