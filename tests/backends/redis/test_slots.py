"""Calls over queues in several slots of a Cluster: each slot at the same time, claims in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from tests.support.contract import HandWorker, add, counts, job, outcome, speech
from tests.support.redis_servers import Cluster, RedisServer
from tests.support.waiting import wait_until

from toril.backends import open_backend
from toril.core.clock import SystemClock
from toril.core.errors import BackendError, StoreUnreachableError
from toril.engine.contract import Backend, Claim, Exchange
from toril.engine.states import State

LEASE_MS = 600_000
NO_LIMIT = 1 << 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.start(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
async def backend(cluster: Cluster) -> AsyncIterator[Backend]:
    for server in cluster.servers:
        server.command("FLUSHALL")
    backend = open_backend(
        f"{cluster.url}?connect_timeout_s=1&answer_timeout_s=1", clock=SystemClock()
    )
    await backend.counts.queue("{0}")  # it is known then that this is a Cluster
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
def worker(backend: Backend) -> HandWorker:
    return HandWorker(backend, lease_ms=LEASE_MS)


@pytest.fixture
def queues(cluster: Cluster) -> tuple[str, str]:
    """Two queues on different nodes."""
    names = [f"{{{number}}}" for number in range(30)]
    other = next(name for name in names if node_of(cluster, name) is not node_of(cluster, names[0]))
    return names[0], other


async def until_well(cluster: Cluster) -> None:
    """Wait until the nodes have noticed that one of them is back."""
    await wait_until(
        lambda: all("state:ok" in one.command("CLUSTER", "INFO") for one in cluster.servers)
    )


def node_of(cluster: Cluster, queue: str) -> RedisServer:
    return cluster.node_for(f"bull:{queue}:meta")


def claims(*limits: tuple[str, int]) -> list[Claim]:
    return [Claim(queue, limit, LEASE_MS) for queue, limit in limits]


async def claimed(worker: HandWorker, room: int, *limits: tuple[str, int]) -> Counter[str]:
    """Return how many jobs of each queue an exchange claims."""
    exchange = Exchange(worker.id, [], claims(*limits), room)
    reply = await worker.backend.dispatch.exchange(exchange)
    return Counter(one.queue for one in reply.claimed)


async def test_outcomes_of_all_slots_leave_at_the_same_time(
    cluster: Cluster, backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    """One slot after the other, a slow node held up the outcomes of all that came after it."""
    slow, quick = queues
    await add(backend, job(queue=slow), job(queue=quick))
    jobs = await worker.claim(slow, quick)
    outcomes = [outcome(one, "completed", value="1") for one in jobs]

    node_of(cluster, slow).pause()
    try:
        exchange = Exchange(worker.id, outcomes, [], 0)
        exchanging = asyncio.create_task(backend.dispatch.exchange(exchange))
        finished = f"bull:{quick}:completed"
        await wait_until(lambda: node_of(cluster, quick).command("ZCARD", finished) == 1)
        assert not exchanging.done()
    finally:
        node_of(cluster, slow).resume()
        await until_well(cluster)

    assert (await exchanging).words == ["ok", "ok"]
    assert (await counts(backend, slow))[State.COMPLETED] == 1


@pytest.mark.parametrize(
    ("room", "first", "then"), [(3, 2, 1), (2, 2, 0), (1, 1, 0), (9, 2, 5), (7, 2, 5)]
)
async def test_next_queue_is_asked_for_what_the_one_before_leaves(
    backend: Backend, worker: HandWorker, queues: tuple[str, str], room: int, first: int, then: int
) -> None:
    one, other = queues
    await add(backend, *[job(queue=one)] * 2, *[job(queue=other)] * 5)

    found = await claimed(worker, room, (one, NO_LIMIT), (other, NO_LIMIT))

    assert found == Counter({one: first, other: then})


async def test_shares_of_several_slots_are_kept(
    backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    """The first slot's queue got its share and all that was left, before the next was asked."""
    one, other = queues
    await add(backend, *[job(queue=one)] * 9, *[job(queue=other)] * 9)
    shares = (one, 3), (other, 2), (one, 4), (other, 4)

    assert await claimed(worker, 4, *shares) == Counter({one: 3, other: 1})
    assert await claimed(worker, 5, *shares) == Counter({one: 3, other: 2})


async def test_what_a_share_leaves_the_others_get(
    backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    one, other = queues
    await add(backend, job(queue=one), *[job(queue=other)] * 9)

    found = await claimed(worker, 6, (one, 3), (other, 3), (one, 6), (other, 6))

    assert found == Counter({one: 1, other: 5})


async def test_empty_queues_yield_nothing_and_each_says_when_to_ask_again(
    backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    one, other = queues
    await add(backend, job(queue=one, delay_ms=50_000), job(queue=other, delay_ms=20_000))

    reply = await worker.ask(one, other)

    assert reply.claimed == []
    assert reply.next_due_ms is not None
    assert 0 < reply.next_due_ms <= 20_000


async def test_each_outcome_gets_its_own_word(
    backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    one, other = queues
    await add(backend, job(queue=one), job(queue=other), job(queue=one))
    jobs = await worker.claim(one, other, limit=2)
    late = next(job for job in jobs if job.queue == other)
    outcomes = [outcome(job, "completed", value="1") for job in jobs]
    assert (await worker.ask(outcomes=outcomes[jobs.index(late) :][:1], limit=0)).words == ["ok"]

    reply = await worker.ask(one, other, outcomes=outcomes, limit=0)

    assert reply.words == ["lease_lost" if job is late else "ok" for job in jobs]


async def test_renewals_and_words_of_several_slots_find_their_jobs(
    backend: Backend, worker: HandWorker, queues: tuple[str, str]
) -> None:
    one, other = queues
    await add(backend, job(queue=one), job(queue=other))
    jobs = await worker.claim(one, other)
    lost = jobs[0]
    await worker.ask(outcomes=[outcome(lost, "completed", value="1")], limit=0)

    renewal = await asyncio.to_thread(worker.renew, *jobs)
    words = await backend.dispatch.speak([speech(job, progress="1") for job in jobs])

    assert [hold.queue for hold in renewal.lost] == [lost.queue]
    assert words == ["lease_lost", "ok"]


async def test_jobs_of_a_node_that_is_away_fail_alone(
    cluster: Cluster, backend: Backend, queues: tuple[str, str]
) -> None:
    """One slot after the other, what came after the node that is away was not added either."""
    away, there = queues
    await add(backend, job(queue=away), job(queue=there))
    node_of(cluster, away).pause()
    try:
        answers = await asyncio.gather(
            *(backend.jobs.add([job(queue=queue)]) for queue in (away, there, away, there)),
            return_exceptions=True,
        )
    finally:
        node_of(cluster, away).resume()
        await until_well(cluster)

    assert [type(one) for one in answers] == [StoreUnreachableError, list] * 2
    assert (await counts(backend, there))[State.WAIT] == 3


async def test_many_jobs_of_which_a_part_fails_say_that_they_may_be_there(
    cluster: Cluster, backend: Backend, queues: tuple[str, str]
) -> None:
    away, there = queues
    await add(backend, job(queue=away), job(queue=there))
    node_of(cluster, away).pause()
    try:
        with pytest.raises(StoreUnreachableError, match="Of 2 jobs 1 were added") as part:
            await backend.jobs.add([job(queue=away), job(queue=there)])
    finally:
        node_of(cluster, away).resume()
        await until_well(cluster)

    assert part.value.sent
    assert (await counts(backend, there))[State.WAIT] == 2


async def test_job_that_cannot_be_sent_adds_no_other_twice(
    backend: Backend, queues: tuple[str, str]
) -> None:
    one, other = queues
    bad = job(queue=other, data="\ud800")

    answers = await asyncio.gather(
        backend.jobs.add([job(queue=one)]), backend.jobs.add([bad]), return_exceptions=True
    )

    assert isinstance(answers[0], list)
    assert isinstance(answers[1], Exception)
    assert not isinstance(answers[1], BackendError)
    assert (await counts(backend, one))[State.WAIT] == 1
