"""Figures of queues."""

from __future__ import annotations

import pytest
from tests.support.contract import (
    REACHED,
    HandWorker,
    Q,
    add,
    add_one,
    bring,
    counts,
    job,
    line,
    outcome,
)

from toril.engine.contract import Backend
from toril.engine.contract.counts import JobPlace
from toril.engine.states import READY, State
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


async def test_running_jobs_are_counted_by_worker(backend: Backend, worker: HandWorker) -> None:
    other = HandWorker(backend, "other")
    await add(backend, *(job() for _ in range(4)), job("b"))
    first = await worker.claim(limit=2)
    await other.claim(limit=2)
    await other.claim("b")

    assert await backend.counts.running([Q, "b", "nowhere"]) == {worker.id: 2, other.id: 3}
    await worker.ask(outcomes=[outcome(one, "completed") for one in first])
    assert await backend.counts.running([Q]) == {other.id: 2}
    assert await backend.counts.running(["nowhere"]) == {}
    assert await backend.counts.running([]) == {}


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


async def place(backend: Backend, job_id: str, *, limit: int = 100) -> JobPlace:
    """Return the place of a job that has to be there."""
    found = await backend.counts.place(Q, job_id, limit=limit)
    assert found is not None
    return found


async def test_place_is_how_many_start_before_it(backend: Backend, worker: HandWorker) -> None:
    """As `claim` then shows: without a priority first, then by number, then by age."""
    ids = await add(backend, *(job(priority=rank) for rank in (0, 7, 0, 3, 7, 0, 2_097_151)))
    ids += [await add_one(backend, priority=3, lifo=True), await add_one(backend, lifo=True)]
    await add(backend, job("other"), job(delay_ms=1_000))

    ahead = {job_id: (await place(backend, job_id)).ahead for job_id in ids}

    starts = [claimed.id for claimed in await worker.claim(limit=20)]
    assert ahead == {job_id: starts.index(job_id) for job_id in ids}


async def test_place_moves_up_with_each_start(backend: Backend, worker: HandWorker) -> None:
    ids = await add(backend, *(job() for _ in range(4)))
    seen = []
    for _ in range(4):
        seen.append((await place(backend, ids[-1])).ahead)
        await worker.claim()

    assert seen == [3, 2, 1, 0]
    assert (await place(backend, ids[-1])).ahead is None


@pytest.mark.parametrize(
    ("many", "ahead", "more"), [(9, 9, False), (10, 10, False), (11, 10, True)]
)
async def test_place_is_counted_no_further_than_asked(
    backend: Backend, many: int, ahead: int, more: bool
) -> None:
    """With a limit of 10."""
    await add(backend, *(job() for _ in range(many)))
    last = await add_one(backend)

    found = await place(backend, last, limit=10)

    assert (found.ahead, found.more) == (ahead, more)


async def test_place_behind_all_without_a_priority_is_at_least_the_limit(backend: Backend) -> None:
    await add(backend, *(job(priority=rank) for rank in [0] * 8 + [5] * 8))
    last = await add_one(backend, priority=9)

    found = await place(backend, last, limit=10)

    assert found.ahead is not None
    assert (found.ahead, found.more) in ((10, True), (16, False))


@pytest.mark.parametrize("where", REACHED)
async def test_place_tells_the_state(backend: Backend, worker: HandWorker, where: State) -> None:
    job_id = await bring(backend, worker, where)

    assert await place(backend, job_id) == JobPlace(
        state=where, ahead=0 if where in READY else None
    )


async def test_place_of_what_is_not_there_is_none(backend: Backend) -> None:
    assert await backend.counts.place(Q, "1", limit=1) is None
    await add_one(backend)

    assert await backend.counts.place(Q, "2", limit=1) is None
    assert await backend.counts.place("elsewhere", "1", limit=1) is None
    assert [queue.name for queue in await backend.counts.queues()] == [Q]


async def test_place_tells_since_when_the_queue_is_paused(
    backend: Backend, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    assert (await place(backend, job_id)).paused_at_ms is None
    clock.advance(5)
    paused_ms = clock.now_ms()
    await backend.limits.pause(Q)
    clock.advance(5)
    assert (await place(backend, job_id)).paused_at_ms == paused_ms

    await backend.limits.pause(Q)  # it is paused already
    await backend.limits.pause(Q, moving=True)
    assert (await place(backend, job_id)).paused_at_ms == paused_ms

    await backend.limits.resume(Q)
    assert (await place(backend, job_id)).paused_at_ms is None
    clock.advance(5)
    await backend.limits.pause(Q, moving=True)
    assert (await place(backend, job_id)).paused_at_ms == clock.now_ms()


async def test_pause_is_dated_where_no_events_are_told(
    backend: Backend, clock: ManualClock
) -> None:
    await backend.events.choose(Q, "none")
    job_id = await add_one(backend)
    await backend.limits.pause(Q)
    paused_ms = clock.now_ms()
    clock.advance(60)

    assert (await place(backend, job_id)).paused_at_ms == paused_ms


async def test_line_is_as_it_was_after_asking_for_places(backend: Backend) -> None:
    ids = await add(backend, *(job() for _ in range(5)))
    for job_id in ids:
        await place(backend, job_id, limit=2)

    assert await line(backend, State.WAIT) == ids
