"""Claiming: how many, from where, and what a worker gets."""

from __future__ import annotations

import asyncio

from tests.support.contract import HandWorker, Q, add, add_one, counts, job, outcome, record, told

from toril.engine.contract import Backend, Claim, Exchange
from toril.engine.job import Claimed
from toril.engine.states import State
from toril.testing.clock import ManualClock


async def test_claimed_job_carries_what_is_needed_to_run_it(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, name="bikes", data='{"a":1}', opts='{"b":2}', timestamp_ms=5)
    claimed = await worker.claim_one()

    assert claimed == Claimed(
        number=claimed.number,
        id=job_id,
        name="bikes",
        data='{"a":1}',
        opts='{"b":2}',
        attempts_started=1,
        attempts_made=0,
        timestamp_ms=5,
        deferred_failure=None,
        queue=Q,
        token=claimed.token,
        started_ms=clock.now_ms(),
    )
    assert claimed.token


async def test_claimed_job_is_active_and_told_so(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    job_id = await add_one(backend, priority=2)
    await worker.claim()

    found = await record(backend, job_id)
    assert (found.state, found.attempts_started, found.attempts_made) == (State.ACTIVE, 1, 0)
    assert found.processed_on_ms == clock.now_ms()
    assert await counts(backend) == {State.ACTIVE: 1}
    assert (await told(backend))[-1] == ("active", {"jobId": job_id, "prev": "waiting"})


async def test_job_is_claimed_once_whoever_asks(backend: Backend) -> None:
    await add(backend, *(job() for _ in range(50)))
    workers = [HandWorker(backend, f"worker-{number}") for number in range(10)]

    claims = await asyncio.gather(*(one.claim(limit=7) for one in workers))

    ids = [claimed.id for some in claims for claimed in some]
    assert len(ids) == len(set(ids)) == 50


async def test_every_claim_has_a_token_of_its_own(backend: Backend, worker: HandWorker) -> None:
    await add(backend, job(), job())
    first, second = await worker.claim_one(), await worker.claim_one()
    assert first.token != second.token

    await worker.end(first, "released")
    again = await worker.claim_one()
    assert (again.id, again.token != first.token) == (first.id, True)


async def test_claims_stop_at_the_limit_of_a_queue(backend: Backend, worker: HandWorker) -> None:
    await add(backend, *(job() for _ in range(5)))

    assert len(await worker.claim(limit=3, room=10)) == 3


async def test_claims_stop_when_there_is_no_room(backend: Backend, worker: HandWorker) -> None:
    await add(backend, *(job() for _ in range(5)))

    assert len(await worker.claim(limit=10, room=2)) == 2
    assert await worker.claim(limit=10, room=0) == []


async def test_queues_are_tried_in_the_order_given(backend: Backend, worker: HandWorker) -> None:
    a = await add(backend, *(job("a") for _ in range(3)))
    b = await add(backend, *(job("b") for _ in range(3)))

    claimed = await worker.claim("b", "unknown", "a", limit=2, room=3)

    assert [one.id for one in claimed] == [*b[:2], a[0]]
    assert [one.queue for one in claimed] == ["b", "b", "a"]


async def test_room_that_one_queue_leaves_goes_to_the_next(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job("a"), *(job("b") for _ in range(5)))

    claimed = await worker.claim("a", "b", limit=4, room=4)

    assert [one.queue for one in claimed] == ["a", "b", "b", "b"]


async def test_each_queue_has_its_own_lease(backend: Backend) -> None:
    (a, b) = await add(backend, job("a"), job("b"))
    claims = [
        Claim(queue="a", limit=1, lease_ms=10_000),
        Claim(queue="b", limit=1, lease_ms=20_000),
    ]
    await backend.dispatch.exchange(Exchange(worker_id="w", claims=claims, room=2))

    assert (await record(backend, a, "a")).lease_remaining_ms == 10_000
    assert (await record(backend, b, "b")).lease_remaining_ms == 20_000


async def test_claim_from_an_unknown_queue_makes_none(backend: Backend, worker: HandWorker) -> None:
    reply = await worker.ask("elsewhere")

    assert (reply.claimed, reply.next_due_ms) == ([], None)
    assert await backend.counts.queues() == []


async def test_outcomes_and_claims_go_together(backend: Backend, worker: HandWorker) -> None:
    first, second = await add(backend, job(), job())
    claimed = await worker.claim_one()

    reply = await worker.ask(Q, outcomes=[outcome(claimed, "completed")])

    assert reply.words == ["ok"]
    assert [one.id for one in reply.claimed] == [second]
    assert await counts(backend) == {State.ACTIVE: 1, State.COMPLETED: 1}
    assert (await record(backend, first)).state is State.COMPLETED


async def test_job_given_back_can_be_claimed_in_the_same_exchange(
    backend: Backend, worker: HandWorker
) -> None:
    job_id = await add_one(backend)
    claimed = await worker.claim_one()

    reply = await worker.ask(Q, outcomes=[outcome(claimed, "retried")])

    (again,) = reply.claimed
    assert (again.id, again.attempts_started, again.attempts_made) == (job_id, 2, 1)
    assert again.token != claimed.token


async def test_next_due_is_the_soonest_delayed_job_of_all_queues(
    backend: Backend, worker: HandWorker
) -> None:
    await add(backend, job("a", delay_ms=5_000), job("b", delay_ms=2_000), job("b", delay_ms=9_000))

    assert (await worker.ask("a", "b")).next_due_ms == 2_000
    assert (await worker.ask("a")).next_due_ms == 5_000


async def test_next_due_is_unknown_when_nothing_is_delayed(
    backend: Backend, worker: HandWorker
) -> None:
    await add_one(backend)

    assert (await worker.ask(Q, limit=5)).next_due_ms is None


async def test_next_due_is_now_when_more_is_due_than_one_exchange_promotes(
    backend: Backend, worker: HandWorker, clock: ManualClock
) -> None:
    await add(backend, *(job(delay_ms=1) for _ in range(1_500)))
    clock.advance(1)

    assert (await worker.ask(Q)).next_due_ms == 0


async def test_two_loops_in_two_threads_share_a_backend(backend: Backend) -> None:
    """Tokens, gathered adds and waiters must not meet between the loops."""
    many = 150

    async def produce_and_run(name: str) -> list[str]:
        mine = HandWorker(backend, name)
        await asyncio.gather(*(backend.jobs.add([job()]) for _ in range(many)))
        done: list[str] = []
        while claimed := await mine.claim(limit=10):
            words = (await mine.ask(outcomes=[outcome(one, "completed") for one in claimed])).words
            assert words == ["ok"] * len(claimed)
            done += [one.id for one in claimed]
        return done

    def in_a_thread(name: str) -> list[str]:
        return asyncio.run(produce_and_run(name))

    results = await asyncio.gather(
        asyncio.to_thread(in_a_thread, "a"),
        asyncio.to_thread(in_a_thread, "b"),
        produce_and_run("c"),
    )

    done = [job_id for some in results for job_id in some]
    left = [one.id for one in await HandWorker(backend).claim(limit=1_000)]
    assert len(set(done + left)) == len(done + left) == 3 * many
    assert await counts(backend) == {
        state: many for state, many in
        {State.ACTIVE: len(left), State.COMPLETED: len(done)}.items() if many
    }  # fmt: skip
