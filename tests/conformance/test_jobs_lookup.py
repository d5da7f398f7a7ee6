"""Looking up and paging."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.contract import (
    REACHED,
    HandWorker,
    Q,
    add,
    add_one,
    counts,
    job,
    line,
    outcome,
    record,
)

from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.jobs import JobPage
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def test_unknown_jobs_and_queues_are_none(backend: Backend) -> None:
    await add_one(backend)

    assert await backend.jobs.get(Q, "99") is None
    assert await backend.jobs.get(Q, "own") is None
    assert await backend.jobs.get(Q, "") is None
    assert await backend.jobs.get("elsewhere", "1") is None


async def test_page_of_an_unknown_queue_is_empty(backend: Backend) -> None:
    assert await backend.jobs.page(JobFilter(queue="elsewhere", states=(State.WAIT,))) == JobPage(
        [], None
    )


async def test_cursor_of_somebody_else_is_refused_by_name(backend: Backend) -> None:
    await add_one(backend)

    with pytest.raises(InvalidOptionError, match="after='nonsense'"):
        await backend.jobs.page(JobFilter(queue=Q, states=(State.WAIT,), after="nonsense"))


async def test_last_page_says_so_even_when_it_is_full(backend: Backend) -> None:
    await add(backend, *(job() for _ in range(4)))

    first = await backend.jobs.page(JobFilter(queue=Q, states=(State.WAIT,), limit=2))
    last = await backend.jobs.page(
        JobFilter(queue=Q, states=(State.WAIT,), limit=2, after=first.next)
    )

    assert first.next is not None
    assert len(last.jobs) == 2
    assert last.next is None


async def fill(
    backend: Backend, worker: HandWorker, clock: ManualClock, wanted: State
) -> list[str]:
    """Make 23 jobs of a state, some of one millisecond; return their ids in the state's order."""
    many = 23
    if wanted is State.WAIT:
        return await add(backend, *(job() for _ in range(many)))
    if wanted is State.PRIORITIZED:
        ids = await add(backend, *(job(priority=1 + number % 3) for number in range(many)))
        return [ids[number] for rest in range(3) for number in range(rest, many, 3)]
    if wanted is State.DELAYED:
        ids = await add(backend, *(job(delay_ms=1_000 + number // 4) for number in range(many)))
        return ids
    ids = await add(backend, *(job() for _ in range(many)))
    for number in range(many):
        claimed = await worker.claim_one()
        if wanted is not State.ACTIVE:
            await worker.end(claimed, "completed" if wanted is State.COMPLETED else "failed")
        if number % 3 == 0:
            clock.advance(0.001)
    return ids


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page_size", [1, 5, 23, 100])
@pytest.mark.parametrize("wanted", REACHED)
async def test_paging_finds_every_job_once_and_in_order(
    backend: Backend,
    worker: HandWorker,
    clock: ManualClock,
    wanted: State,
    page_size: int,
    newest_first: bool,
) -> None:
    ids = await fill(backend, worker, clock, wanted)
    # Neighbours that must not be seen: other states, another queue.
    extra: dict[str, Any] = {"delay_ms": 10_000} if wanted is not State.DELAYED else {"priority": 4}
    await add(backend, job(**extra), job("other"), job("other", priority=2))
    if wanted is State.PRIORITIZED:
        await add(backend, *(job() for _ in range(7)))
    if wanted is State.WAIT:
        await add(backend, *(job(priority=3) for _ in range(7)))

    found = await line(backend, wanted, newest_first=newest_first, page_size=page_size)

    assert found == (ids[::-1] if newest_first else ids)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 7, 100])
async def test_several_states_are_paged_one_after_the_other(
    backend: Backend, worker: HandWorker, page_size: int, newest_first: bool
) -> None:
    """Pages end within a state, at its end, and where several states are empty."""
    await add(backend, *(job() for _ in range(4)))
    for one in await worker.claim(limit=4):
        await worker.end(one, "completed")
    await add(backend, *(job() for _ in range(3)), *(job(priority=2) for _ in range(2)))
    states = (State.FAILED, State.COMPLETED, State.ACTIVE, State.WAIT, State.DELAYED)
    each = [await line(backend, where, newest_first=newest_first) for where in states]

    found: list[str] = []
    after: str | None = None
    while True:
        page = await backend.jobs.page(
            JobFilter(
                queue=Q, states=states, limit=page_size, after=after, newest_first=newest_first
            )
        )
        found += [one.id for one in page.jobs]
        after = page.next
        if after is None:
            break
        assert len(page.jobs) == page_size

    assert found == [job_id for ids in each for job_id in ids]
    assert len(found) == 7


async def test_cursor_of_another_state_is_refused_by_name(backend: Backend) -> None:
    await add(backend, job(), job())
    page = await backend.jobs.page(JobFilter(queue=Q, states=(State.WAIT,), limit=1))
    assert page.next is not None

    for wrong in (page.next, "failed~x", "failed~1~2", "failed~x~1~2", "failed"):
        states = (State.COMPLETED,) if wrong == page.next else (State.FAILED,)
        with pytest.raises(InvalidOptionError, match="expected the `next` of the page before"):
            await backend.jobs.page(JobFilter(queue=Q, states=states, after=wrong))


@pytest.mark.parametrize("newest_first", [False, True])
async def test_paging_while_jobs_come_and_go_loses_and_doubles_none_that_stay(
    backend: Backend, newest_first: bool
) -> None:
    ids = await add(backend, *(job() for _ in range(20)))
    seen: list[str] = []
    after: str | None = None
    gone = {ids[1], ids[9], ids[18]}

    for step in range(100):
        page = await backend.jobs.page(
            JobFilter(
                queue=Q, states=(State.WAIT,), limit=3, after=after, newest_first=newest_first
            )
        )
        seen += [found.id for found in page.jobs]
        after = page.next
        if after is None:
            break
        await add(backend, job(lifo=step % 2 == 0))
        if step == 0:
            for job_id in gone:
                await backend.jobs.remove(Q, job_id)

    assert len(seen) == len(set(seen))
    stayed = [job_id for job_id in ids if job_id not in gone]
    assert [job_id for job_id in seen if job_id in stayed] == (
        stayed[::-1] if newest_first else stayed
    )


async def test_counts_are_what_paging_finds_after_a_bit_of_everything(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, *(job(priority=number % 3, delay_ms=number % 4) for number in range(40)))
    claimed = await worker.claim(limit=8)
    kinds: list[Any] = ["completed", "failed", "retried", "snoozed", "released", "completed"]
    outcomes = [
        outcome(one, kind, wait_ms=500 if kind == "snoozed" else 0)
        for one, kind in zip(claimed, kinds, strict=False)
    ]
    await worker.ask(Q, outcomes=outcomes, limit=2)
    clock.advance(0.003)
    await worker.claim(limit=3)

    found = await counts(backend)
    for where in State:
        assert len(await line(backend, where, page_size=7)) == found.get(where, 0)
    assert sum(found.values()) == 40


async def test_active_job_shows_who_holds_it_and_for_how_long(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend)
    await worker.claim()
    clock.advance(12)

    found = await record(backend, job_id)
    assert (found.worker_id, found.lease_remaining_ms) == ("worker-1", 18_000)
    clock.advance(20)
    # Redis lets go of a lock when it ends: since when is not known.
    over_ms = -2_000 if "stopwatch" in backend.capabilities else 0
    assert (await record(backend, job_id)).lease_remaining_ms == over_ms
