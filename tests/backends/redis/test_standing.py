"""Claims that stand: an idle worker is given a job as soon as it is there, and none gets lost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.contract import HandWorker, Q, add, add_one, counts, job
from tests.support.redis_servers import Cluster, Proxy, RedisServer
from tests.support.waiting import wait_until

from toril import App, Settings
from toril.backends import open_backend
from toril.backends.redis.standing import AGAIN_S
from toril.core.clock import SystemClock
from toril.core.errors import BackendClosedError, StoreForeignError, StoreUnreachableError
from toril.engine.contract import Backend, BlockingClaim, Claim, Exchange, ExchangeReply
from toril.engine.idling import MAX_BLOCKING
from toril.engine.states import State
from toril.testing import ManualClock

pytestmark = pytest.mark.usefixtures("no_thread_left")

SOON_S = 5.0
"""Less than a claim stands: what ends sooner was ended."""
LEASE_MS = 3_600_000
"""So long that nothing comes back by its lease alone."""


@pytest.fixture
async def far(proxy: Proxy) -> AsyncIterator[Backend]:
    """The store behind that network."""
    backend = open_backend(proxy.url, clock=SystemClock())
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
async def backend(server: RedisServer) -> AsyncIterator[Backend]:
    """The store without a network between."""
    backend = open_backend(server.url, clock=SystemClock())
    yield backend
    await backend.lifecycle.close()


async def placed(backend: Backend, server: RedisServer, *queues: str, limit: int = 1) -> Placed:
    """Return a claim that stands: the server blocks."""
    placed = Placed(backend, limit, queues or (Q,))
    await HandWorker(backend).ask(*placed.queues, limit=0)  # what is known after a first exchange
    await placed.begin(server)
    return placed


class Placed:
    """A standing claim, and what comes of it."""

    def __init__(self, backend: Backend, limit: int, queues: tuple[str, ...]) -> None:
        self.backend = backend
        self.queues = queues
        self._limit = limit
        self._standing: BlockingClaim | None = None
        self._task: asyncio.Task[ExchangeReply] | None = None

    @property
    def standing(self) -> BlockingClaim:
        if self._standing is None:
            self._standing = self.backend.dispatch.standing(lease_ms=LEASE_MS)
        assert self._standing is not None
        return self._standing

    def ask(self) -> None:
        claims = [Claim(queue, self._limit, LEASE_MS) for queue in self.queues]
        exchange = Exchange("worker-1", [], claims, self._limit)
        self._task = asyncio.create_task(self.standing.exchange(exchange))

    async def begin(self, server: RedisServer) -> None:
        before = blocked(server)
        self.ask()
        await wait_until(lambda: blocked(server) > before, what="the server to block")

    async def ids(self) -> list[str]:
        """Return what it was given."""
        assert self._task is not None
        reply = await asyncio.wait_for(self._task, SOON_S)
        return [claimed.id for claimed in reply.claimed]


def blocked(server: RedisServer) -> int:
    """Return how many clients the server blocks."""
    facts = dict(line.split(":") for line in server.command("INFO", "clients").split("\r\n")[1:-1])
    return int(facts["blocked_clients"])


def exchanges(server: RedisServer) -> int:
    """Return how many scripts were run since the counters were reset."""
    for fact in server.command("INFO", "commandstats").split("\r\n"):
        if fact.startswith("cmdstat_evalsha:"):
            return int(fact.partition("calls=")[2].partition(",")[0])
    return 0


async def test_job_is_given_in_the_call_that_was_waiting(
    backend: Backend, server: RedisServer
) -> None:
    claim = await placed(backend, server, limit=2)  # one that gets all it may wakes the next
    first = await add_one(backend)
    assert await claim.ids() == [first]
    await claim.begin(server)
    server.command("CONFIG", "RESETSTAT")

    job_id = await add_one(backend)

    assert await claim.ids() == [job_id]
    assert exchanges(server) == 2  # the one that added it, and the one that stood
    assert await counts(backend) == {State.ACTIVE: 2}


async def test_job_that_came_before_it_is_given_at_once(
    backend: Backend, server: RedisServer
) -> None:
    claim = await placed(backend, server)
    claim.standing.release()
    assert await claim.ids() == []

    job_id = await add_one(backend)
    claim.ask()

    assert await claim.ids() == [job_id]


async def test_it_waits_for_any_of_its_queues(backend: Backend, server: RedisServer) -> None:
    claim = await placed(backend, server, "oil", Q)

    job_id = await add_one(backend)

    assert await claim.ids() == [job_id]


async def test_it_takes_no_more_than_it_may_and_wakes_the_next(
    backend: Backend, server: RedisServer
) -> None:
    first, second = await placed(backend, server), await placed(backend, server)

    ids = await add(backend, job(), job())

    assert sorted(await first.ids() + await second.ids()) == sorted(ids)


async def test_it_ends_when_it_is_released(backend: Backend, server: RedisServer) -> None:
    claim = await placed(backend, server)

    claim.standing.release()

    assert await claim.ids() == []
    assert blocked(server) == 0


async def test_release_does_not_end_the_next_one(backend: Backend, server: RedisServer) -> None:
    claim = await placed(backend, server)
    for _ in range(5):
        claim.standing.release()
        assert await claim.ids() == []
        await claim.begin(server)  # while the release is still at it

        assert claim._task is not None
        done, _ = await asyncio.wait([claim._task], timeout=10 * AGAIN_S)
        assert not done

    job_id = await add_one(backend)
    assert await claim.ids() == [job_id]


async def test_release_counts_although_the_server_has_not_begun_to_block(
    backend: Backend, server: RedisServer
) -> None:
    claim = await placed(backend, server)
    for _ in range(20):
        claim.standing.release()
        assert await claim.ids() == []
        claim.ask()
        await asyncio.sleep(0)  # it is on its way, no more
    claim.standing.release()

    assert await claim.ids() == []


async def test_script_that_the_server_has_forgotten_is_loaded_again(
    backend: Backend, server: RedisServer
) -> None:
    claim = await placed(backend, server)
    server.command("SCRIPT", "FLUSH")

    job_id = await add_one(backend)

    assert await claim.ids() == [job_id]


async def test_queue_that_may_not_be_served_is_refused(
    backend: Backend, server: RedisServer
) -> None:
    server.command("RPUSH", f"bull:{Q}:paused", 1)
    await HandWorker(backend).ask("oil")
    claim = Placed(backend, 1, (Q,))
    claim.ask()

    with pytest.raises(StoreForeignError, match="set its jobs aside"):
        await claim.ids()


async def test_server_that_will_not_block_is_asked_all_the_same(
    backend: Backend, server: RedisServer
) -> None:
    claim = await placed(backend, server)
    job_id = await add_one(backend)
    assert await claim.ids() == [job_id]
    server.command("ACL", "SETUSER", "default", "-bzpopmin")
    try:
        job_id = await add_one(backend)
        claim.ask()
        assert await claim.ids() == [job_id]
        claim.ask()
        assert await claim.ids() == []
    finally:
        server.command("ACL", "SETUSER", "default", "+bzpopmin")


async def test_closing_the_store_ends_it(backend: Backend, server: RedisServer) -> None:
    claim = await placed(backend, server)

    await backend.lifecycle.close()

    with pytest.raises(BackendClosedError):
        await claim.ids()


async def test_claim_of_a_connection_that_is_gone_takes_nothing(
    far: Backend, backend: Backend, server: RedisServer, proxy: Proxy
) -> None:
    claim = await placed(far, server)
    proxy.cut()
    with pytest.raises(StoreUnreachableError) as gone:
        await claim.ids()
    assert gone.value.sent
    await wait_until(lambda: blocked(server) == 0, what="the server to notice")

    await add_one(backend)

    assert await counts(backend) == {State.WAIT: 1}


async def test_jobs_of_a_reply_that_was_lost_are_claimed_by_the_next_exchange(
    far: Backend, backend: Backend, server: RedisServer, proxy: Proxy
) -> None:
    claim = await placed(far, server)
    proxy.freeze()
    job_id = await add_one(backend)
    assert await counts(backend) == {State.ACTIVE: 1}
    proxy.cut()
    with pytest.raises(StoreUnreachableError):
        await claim.ids()
    proxy.thaw()

    claimed = await HandWorker(far, lease_ms=LEASE_MS).claim(limit=2)

    assert [one.id for one in claimed] == [job_id]
    assert claimed[0].attempts_started == 1


async def test_there_is_none_with_the_clock_of_a_test(server: RedisServer) -> None:
    backend = open_backend(server.url, clock=ManualClock())
    await HandWorker(backend).ask(Q)

    assert backend.dispatch.standing(lease_ms=LEASE_MS) is None
    await backend.lifecycle.close()


async def test_there_is_none_with_a_lease_that_may_end_before_it(backend: Backend) -> None:
    await HandWorker(backend).ask(Q)

    assert backend.dispatch.standing(lease_ms=999) is None


async def test_it_ends_before_a_machine_that_has_died_loses_its_lease(
    backend: Backend, server: RedisServer
) -> None:
    await HandWorker(backend).ask(Q)
    standing = backend.dispatch.standing(lease_ms=1000)
    assert standing is not None

    begin_s = time.monotonic()
    reply = await standing.exchange(Exchange("worker-1", [], [Claim(Q, 1, 1000)], 1))

    assert reply.claimed == []
    assert time.monotonic() - begin_s >= 0.5
    await standing.close()


async def test_there_is_none_in_a_cluster(tmp_path: Path) -> None:
    with Cluster.start(tmp_path) as cluster:
        backend = open_backend(cluster.url, clock=SystemClock())
        await HandWorker(backend).ask("{paint}")

        assert backend.dispatch.standing(lease_ms=LEASE_MS) is None
        await backend.lifecycle.close()


class TestWorkers:
    """Whole workers that stand."""

    @pytest.fixture
    async def app(self, proxy: Proxy) -> AsyncIterator[App]:
        async with App(proxy.url, settings=Settings()) as app:
            yield app

    @pytest.fixture
    def runs(self, app: App) -> Counter[int]:
        """How often a job of the task `count` has run, by its number."""
        runs: Counter[int] = Counter()

        @app.task(name="count")
        async def count(number: int) -> None:
            runs[number] += 1

        return runs

    @pytest.mark.parametrize("slots", [1, MAX_BLOCKING, 3 * MAX_BLOCKING])
    async def test_all_jobs_run_however_they_come(
        self, app: App, runs: Counter[int], server: RedisServer, slots: int
    ) -> None:
        task, number = app.find_task("count"), 0
        async with app.worker(concurrency=slots):
            for together in (1, 1, 2, MAX_BLOCKING, MAX_BLOCKING + 1, 5 * slots, 1):
                await wait_until(lambda: blocked(server) == 1, what="the worker to be idle")
                await task.enqueue_many({"number": number + i} for i in range(together))
                number += together
                await wait_until(lambda: len(runs) == number, deadline_s=SOON_S)  # noqa: B023

        assert runs == Counter(range(number))

    async def test_delayed_job_runs_when_it_is_due(
        self, app: App, runs: Counter[int], server: RedisServer
    ) -> None:
        async with app.worker(concurrency=1):  # whose only slot is promised
            await wait_until(lambda: blocked(server) == 1)
            await app.find_task("count").with_options(delay=0.2).enqueue(number=1)
            await wait_until(lambda: runs == {1: 1}, deadline_s=SOON_S)

    async def test_idle_worker_stops_at_once(
        self, app: App, runs: Counter[int], server: RedisServer
    ) -> None:
        worker = app.worker()
        running = asyncio.create_task(worker.run())
        await wait_until(lambda: blocked(server) == 1)

        worker.stop()

        await asyncio.wait_for(running, SOON_S)
        await wait_until(lambda: blocked(server) == 0, what="its connection to be closed")

    async def test_quiet_worker_takes_nothing(
        self, app: App, backend: Backend, runs: Counter[int], server: RedisServer
    ) -> None:
        async with app.worker() as worker:
            await wait_until(lambda: blocked(server) == 1)
            worker.quiet()
            await wait_until(lambda: blocked(server) == 0)
            await app.find_task("count").enqueue(number=1)
            assert await counts(backend, "default") == {State.WAIT: 1}

    async def test_lost_reply_costs_no_job_and_no_second_run(
        self, app: App, backend: Backend, runs: Counter[int], server: RedisServer, proxy: Proxy
    ) -> None:
        async with App(server.url, settings=Settings()) as near, app.worker(concurrency=8):
            for number in range(20):
                await wait_until(lambda: blocked(server) == 1, what="the worker to be idle")
                proxy.freeze()
                await near.queue("default").add("count", {"number": number})
                proxy.cut()
                proxy.thaw()
                await wait_until(lambda: runs[number] > 0, what="the job")  # noqa: B023
            info = await near.queue("default").info()

        assert runs == Counter(range(20))
        assert info is not None
        assert info.failed_total == 0

    async def test_silent_server_does_not_keep_a_worker_that_stops_nor_its_job(
        self, app: App, server: RedisServer, proxy: Proxy
    ) -> None:
        """The worker holds the job back until its claim returns, which it does not."""
        began = asyncio.Event()

        @app.task()
        async def work() -> None:
            began.set()
            await asyncio.Event().wait()

        async with App(server.url, settings=Settings()) as near:
            job = await near.queue("default").add("work")
            worker = app.worker(concurrency=8, sweep=3600)
            running = asyncio.create_task(worker.run())
            await began.wait()
            await wait_until(lambda: blocked(server) == 1, what="the blocking claim")
            proxy.freeze()

            worker.stop(0)
            await asyncio.wait_for(running, 60)  # the lease thread and the sign-off wait, too
            proxy.cut()
            await wait_until(lambda: blocked(server) == 0, what="the server to notice")

            assert await near.declare_dead(worker.id) == 1
            info = await job.info()
            assert (info.state, info.attempts_started, info.attempts_made) == (State.WAIT, 1, 0)
            proxy.thaw()
