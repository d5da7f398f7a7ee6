"""A reply of the hot path that never comes: nothing is claimed twice, and nothing is forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.backends.redis.conftest import Connect
from tests.support.contract import (
    HandWorker,
    add,
    add_one,
    card,
    counts,
    job,
    line,
    outcome,
    record,
)
from tests.support.redis_servers import Cluster, Proxy

from toril.backends import open_backend
from toril.core.clock import SystemClock
from toril.core.errors import BackendError, StoreUnreachableError
from toril.engine.contract import Backend, Claim, Exchange
from toril.engine.states import State
from toril.engine.sweeper import take_back

LEASE_MS = 3_600_000
"""So long that nothing comes back by its lease alone."""
EXCHANGE = b"EVALSHA"


@pytest.fixture
async def backend(proxy: Proxy) -> AsyncIterator[Backend]:
    """A store behind that network."""
    backend = open_backend(proxy.url, clock=SystemClock())
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
def worker(backend: Backend) -> HandWorker:
    """A worker whose leases last."""
    return HandWorker(backend, lease_ms=LEASE_MS)


async def lose_reply(proxy: Proxy, worker: HandWorker, *queues: str, **how: object) -> None:
    """Do one exchange that the server carries out and whose reply is lost."""
    await worker.ask("other")  # the script is loaded, the queue known: nothing else is lost
    for queue in queues:
        await worker.ask(queue, limit=0)
    proxy.cut_after_request(EXCHANGE)
    with pytest.raises(StoreUnreachableError) as lost:
        await worker.ask(*queues, **how)  # type: ignore[arg-type]
    assert lost.value.sent


async def test_jobs_of_a_lost_reply_are_claimed_by_the_next_exchange(
    backend: Backend, worker: HandWorker, proxy: Proxy
) -> None:
    ids = await add(backend, job(), job(), job())

    await lose_reply(proxy, worker, "paint", limit=2)
    claimed = await worker.claim(limit=3)

    assert sorted(one.id for one in claimed) == sorted(ids)
    assert {one.attempts_started for one in claimed} == {1}
    assert await worker.claim(limit=3) == []
    assert [await worker.end(one, "completed", value="1") for one in claimed] == ["ok"] * 3


async def test_lost_jobs_are_claimed_once_when_a_queue_is_asked_twice(
    backend: Backend, worker: HandWorker, proxy: Proxy
) -> None:
    """Shares of the slots by weight ask each queue for its share, and again for the rest."""
    await add_one(backend)

    await lose_reply(proxy, worker, "paint")
    claims = [Claim("paint", 1, LEASE_MS), Claim("paint", 2, LEASE_MS)]
    reply = await backend.dispatch.exchange(Exchange(worker.id, [], claims, 2))

    assert len(reply.claimed) == 1


async def test_lost_jobs_are_found_by_the_exchange_that_asks_for_their_queue(
    backend: Backend, worker: HandWorker, proxy: Proxy
) -> None:
    job_id = await add_one(backend)

    await lose_reply(proxy, worker, "paint")
    assert await worker.claim("other") == []

    assert [one.id for one in await worker.claim("paint")] == [job_id]


async def test_outcomes_of_a_lost_exchange_are_not_too_late(
    backend: Backend, worker: HandWorker, proxy: Proxy
) -> None:
    await add(backend, job(), job(), job(), job())
    claimed = await worker.claim(limit=4)
    outcomes = [
        outcome(claimed[0], "completed", value="1"),
        outcome(claimed[1], "failed", reason="no paint"),
        outcome(claimed[2], "retried", reason="once more", wait_ms=60_000),
        outcome(claimed[3], "completed", value="2", keep_count=0),
    ]

    await lose_reply(proxy, worker, "paint", outcomes=outcomes, limit=0)
    reply = await worker.ask("paint", outcomes=outcomes, limit=0)

    assert reply.words == ["ok"] * 4
    assert await counts(backend) == {State.DELAYED: 1, State.COMPLETED: 1, State.FAILED: 1}
    assert (await record(backend, claimed[2].id)).attempts_made == 1


async def test_jobs_of_a_lost_reply_go_back_in_line_when_the_worker_leaves(
    backend: Backend, worker: HandWorker, proxy: Proxy
) -> None:
    """It ends without an exchange: nobody else has to wait for a lease of an hour."""
    job_id = await add_one(backend)
    await backend.workers.register(card(worker.id))

    await lose_reply(proxy, worker, "paint")
    await backend.workers.deregister(worker.id)
    assert await backend.workers.list() == []

    assert await take_back(backend.dispatch, max_stalled=1) == 1
    assert await line(backend, State.WAIT) == [job_id]


async def test_part_of_an_exchange_that_fails_in_a_cluster_loses_none_of_the_others(
    tmp_path: Path, connect: Connect
) -> None:
    """Each slot has a call of its own: what the first gave must not be lost with the second."""
    with Cluster.start(tmp_path) as cluster:
        near, far = queues_apart(cluster)
        backend = open_backend(f"{cluster.url}?connect_timeout_s=0.5", clock=SystemClock())
        worker = HandWorker(backend, lease_ms=LEASE_MS)
        try:
            ids = [await add_one(backend, near), await add_one(backend, far)]
            assert await worker.claim(near, far, limit=0) == []
            cluster.node_for(f"bull:{far}:meta").kill()

            with pytest.raises(BackendError):
                await worker.claim(near, far)
            assert await line(backend, State.ACTIVE, near) == ids[:1]
            claimed = await worker.claim(near)

            assert [one.id for one in claimed] == ids[:1]
            assert claimed[0].attempts_started == 1
        finally:
            await backend.lifecycle.close()


def queues_apart(cluster: Cluster) -> tuple[str, str]:
    """Return the names of two queues that lie on different nodes."""
    names = [f"{{{number}}}" for number in range(30)]
    first = names[0]
    home = cluster.node_for(f"bull:{first}:meta")
    other = next(name for name in names if cluster.node_for(f"bull:{name}:meta") is not home)
    return first, other
