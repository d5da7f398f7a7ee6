"""A server that has used all of its `maxmemory`: nothing new, and what runs goes on and ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.support.contract import HandWorker, Q, add_one, card, counts, job, record
from tests.support.redis_servers import RedisServer

from toril.backends import open_backend
from toril.core.errors import StoreFullError
from toril.engine.contract import Backend
from toril.engine.states import State
from toril.engine.sweeper import take_back

LEASE_MS = 60_000


@pytest.fixture
async def backend(own_server: RedisServer) -> AsyncIterator[Backend]:
    """A store whose memory the test may use up."""
    backend = open_backend(own_server.url)
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
def worker(backend: Backend) -> HandWorker:
    """A worker on it."""
    return HandWorker(backend, lease_ms=LEASE_MS)


def fill(server: RedisServer) -> None:
    """Use its memory up."""
    server.command("CONFIG", "SET", "maxmemory", "1")


async def test_new_job_is_refused_and_leaves_nothing(
    backend: Backend, own_server: RedisServer
) -> None:
    await add_one(backend)
    before = own_server.keys()
    fill(own_server)

    with pytest.raises(StoreFullError, match="maxmemory"):
        await backend.jobs.add([job()])

    assert own_server.keys() == before
    assert own_server.command("GET", f"bull:{Q}:id") == "1"


async def test_jobs_are_claimed_and_finished(
    backend: Backend, worker: HandWorker, own_server: RedisServer
) -> None:
    first, second = await add_one(backend), await add_one(backend)
    claimed = await worker.claim_one()
    assert claimed.id == first
    fill(own_server)

    assert await worker.end(claimed, "completed", value="1") == "ok"
    other = await worker.claim_one()
    assert other.id == second
    assert await worker.end(other, "retried", reason="once more", wait_ms=60_000) == "ok"
    assert await counts(backend) == {State.COMPLETED: 1, State.DELAYED: 1}


async def test_leases_are_renewed(
    backend: Backend, worker: HandWorker, own_server: RedisServer
) -> None:
    """They ran out, and once there was room again the first sweep took the jobs back."""
    await add_one(backend)
    claimed = await worker.claim_one()
    own_server.command("PEXPIRE", f"bull:{Q}:{claimed.id}:lock", 1000)
    fill(own_server)

    renewal = await asyncio.to_thread(worker.renew, claimed)

    assert (renewal.lost, renewal.cancelled) == ([], [])
    left_ms = (await record(backend, claimed.id)).lease_remaining_ms
    assert left_ms is not None
    assert left_ms > LEASE_MS / 2


async def test_beats_are_heard(
    backend: Backend, worker: HandWorker, own_server: RedisServer
) -> None:
    await backend.workers.register(card(worker.id))
    key = f"bull::toril:{{workers}}:{worker.id}"
    own_server.command("PEXPIRE", key, 1000)
    fill(own_server)

    def beat() -> bool:
        return backend.workers.beat(
            worker.id, running=3, concurrency=1, claiming="open", resident_bytes=1
        ).known

    assert await asyncio.to_thread(beat)
    assert own_server.command("PTTL", key) > 1000
    (seen,) = await backend.workers.list()
    assert seen.beat_age_ms < 10_000
    await backend.workers.deregister(worker.id)
    assert not await asyncio.to_thread(beat)


async def test_job_of_a_dead_worker_is_taken_back(
    backend: Backend, worker: HandWorker, own_server: RedisServer
) -> None:
    job_id = await add_one(backend)
    await worker.claim_one()
    own_server.command("DEL", f"bull:{Q}:{job_id}:lock")
    fill(own_server)

    assert await take_back(backend.dispatch, max_stalled=1, fresh_ms=1000) == 1
    assert await counts(backend) == {State.WAIT: 1}
