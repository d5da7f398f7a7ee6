"""Who runs next."""

from __future__ import annotations

from tests.support.contract import HandWorker, Q, add, add_one, job, line, record, told

from toril.engine.contract import Backend
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def run_order(worker: HandWorker, queue: str = Q) -> list[str]:
    """Claim one by one until nothing is left."""
    order: list[str] = []
    while claimed := await worker.claim(queue):
        order += [one.id for one in claimed]
    return order


async def test_jobs_run_in_the_order_of_their_arrival(backend: Backend, worker: HandWorker) -> None:
    ids = [await add_one(backend) for _ in range(5)]

    assert await run_order(worker) == ids


async def test_lifo_job_goes_to_the_front(backend: Backend, worker: HandWorker) -> None:
    a, b = await add(backend, job(), job())
    c = await add_one(backend, lifo=True)
    d = await add_one(backend, lifo=True)

    assert await run_order(worker) == [d, c, a, b]


async def test_lifo_jobs_of_one_batch_run_last_first(backend: Backend, worker: HandWorker) -> None:
    a, b, c = await add(backend, job(lifo=True), job(), job(lifo=True))

    assert await run_order(worker) == [c, a, b]


async def test_jobs_with_a_priority_run_after_all_others_lowest_first(
    backend: Backend, worker: HandWorker
) -> None:
    low = await add_one(backend, priority=20)
    urgent = await add_one(backend, priority=1)
    plain = await add_one(backend)
    normal = await add_one(backend, priority=16)
    later = await add_one(backend)

    assert await run_order(worker) == [plain, later, urgent, normal, low]


async def test_ties_of_a_priority_run_in_the_order_of_arrival(
    backend: Backend, worker: HandWorker
) -> None:
    first = [await add_one(backend, priority=7) for _ in range(3)]
    second = await add(backend, *(job(priority=7) for _ in range(3)))

    assert await run_order(worker) == [*first, *second]


async def test_lifo_job_with_a_priority_is_the_first_of_it(
    backend: Backend, worker: HandWorker
) -> None:
    a = await add_one(backend, priority=7)
    urgent = await add_one(backend, priority=1)
    b = await add_one(backend, priority=7, lifo=True)

    assert await run_order(worker) == [urgent, b, a]


async def test_delayed_jobs_become_ready_soonest_first(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    late = await add_one(backend, delay_ms=3_000)
    soon = await add_one(backend, delay_ms=1_000)
    middle = await add_one(backend, delay_ms=2_000)
    assert await run_order(worker) == []

    clock.advance(3)

    assert await run_order(worker) == [soon, middle, late]


async def test_delayed_jobs_of_one_millisecond_keep_the_order_of_arrival(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = [await add_one(backend, delay_ms=1_000) for _ in range(5)]
    ids += await add(backend, *(job(delay_ms=1_000) for _ in range(5)))

    clock.advance(1)

    assert await run_order(worker) == ids


async def test_delayed_job_is_ready_at_its_very_millisecond_and_not_before(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, delay_ms=1_000)

    clock.advance(0.999)
    reply = await worker.ask(Q)
    assert (reply.claimed, reply.next_due_ms) == ([], 1)

    clock.advance(0.001)
    assert await run_order(worker) == [job_id]


async def test_job_that_was_delayed_goes_to_the_end_of_the_line(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    delayed = await add_one(backend, delay_ms=1_000)
    waiting = await add_one(backend)

    clock.advance(1)

    assert await run_order(worker) == [waiting, delayed]


async def test_delayed_job_with_a_priority_waits_among_its_like(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    delayed = await add_one(backend, delay_ms=1_000, priority=1)
    plain = await add_one(backend)
    low = await add_one(backend, priority=9)

    clock.advance(1)
    assert (await worker.claim_one()).id == plain
    assert (await record(backend, delayed)).state is State.PRIORITIZED

    assert await run_order(worker) == [delayed, low]


async def test_becoming_ready_is_told_and_ends_the_delay(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, delay_ms=1_000)
    clock.advance(1)
    await worker.claim()

    assert (await told(backend))[-2:] == [
        ("waiting", {"jobId": job_id, "prev": "delayed"}),
        ("active", {"jobId": job_id, "prev": "waiting"}),
    ]
    found = await record(backend, job_id)
    assert (found.delay_ms, found.run_at_ms) == (0, None)


async def test_due_jobs_become_ready_even_while_the_queue_is_paused(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, delay_ms=1_000)
    await backend.limits.pause(Q)
    clock.advance(1)

    assert await worker.claim() == []
    assert await line(backend, State.WAIT) == [job_id]


async def test_more_due_jobs_than_one_exchange_promotes_all_run_in_order(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    ids = await add(backend, *(job(delay_ms=1_000 + number) for number in range(2_300)))
    clock.advance(10)

    order: list[str] = []
    while claimed := await worker.claim(limit=400):
        order += [one.id for one in claimed]

    assert order == ids
