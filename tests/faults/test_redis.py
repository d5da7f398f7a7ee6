"""Redis or Valkey in trouble: killed, flushed, cut off, full. Nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import collections
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from tests.faults.support import open_stage
from tests.support.redis_client import RedisClient
from tests.support.redis_servers import (
    SOFTWARE,
    Cluster,
    Proxy,
    RedisReplyError,
    RedisServer,
    Sentinels,
    Software,
)
from tests.support.waiting import wait_until

from toril import App, Job, JobOptions
from toril.core.errors import BackendError, StoreFullError, StoreUnreachableError

FULL = os.environ.get("TORIL_FAULTS") == "full"
QUEUE = "work"


class Load:
    """Producers and a worker on one store, and the account of what became of each job."""

    def __init__(self, url: str, *, sleep_s: float = 0.002, lease_s: float = 30.0) -> None:
        self.app = App(url)
        self.acknowledged: dict[str, tuple[float, float]] = {}
        """When each job was asked for the last time, and when the answer came, in seconds."""
        self.troubles: list[BackendError] = []
        """What producers were told while they tried."""
        self.runs: collections.Counter[str] = collections.Counter()
        self.last_run_s = 0.0
        self._sleep_s = sleep_s
        self._lease_s = lease_s
        self._number = 0
        self._producing = True
        self._excused: list[tuple[float, float]] = []

        @self.app.task(queue=QUEUE, name="run")
        async def run(key: str) -> None:
            await asyncio.sleep(self._sleep_s)
            self.runs[key] += 1
            self.last_run_s = time.monotonic()

    async def produce(self) -> None:
        """Add jobs with ids of their own, each again until it is acknowledged."""
        queue = self.app.queue(QUEUE)
        while self._producing:
            self._number += 1
            key = f"job-{self._number}"
            while key not in self.acknowledged:
                asked_s = time.monotonic()
                try:
                    await queue.add("run", {"key": key}, JobOptions(job_id=key))
                    self.acknowledged[key] = asked_s, time.monotonic()
                except BackendError as error:
                    self.troubles.append(error)
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.001)

    def stop_producing(self) -> None:
        """End the producers once they have what they wait for."""
        self._producing = False

    @contextmanager
    def excused(self) -> Iterator[None]:
        """Let the server lose what it acknowledges during the block."""
        begin_s = time.monotonic()
        yield
        self._excused.append((begin_s, time.monotonic()))

    @property
    def done(self) -> bool:
        """Whether every job that was acknowledged, and not excused, has run."""
        return not self.missing

    @property
    def missing(self) -> list[str]:
        """Return the jobs that have not run and have no excuse."""
        return [
            key
            for key, (asked_s, answered_s) in self.acknowledged.items()
            if key not in self.runs
            and not any(
                asked_s < end_s and begin_s < answered_s for begin_s, end_s in self._excused
            )
        ]


@asynccontextmanager
async def under_load(url: str, *, producers: int = 3, **how: float) -> AsyncIterator[Load]:
    """Give a store work to do; at the end everything acknowledged has to have run."""
    load = Load(url, **how)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(load.app.close)
        await stack.enter_async_context(
            load.app.worker(
                queues=[QUEUE], concurrency=10, lease=how.get("lease_s", 30.0), sweep=0.5
            )
        )
        tasks = [asyncio.create_task(load.produce()) for _ in range(producers)]
        await wait_until(lambda: len(load.runs) > 20, what="work to begin")
        yield load
        load.stop_producing()
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
        await wait_until(lambda: load.done, what="all jobs to have run", deadline_s=90)


async def goes_on(load: Load, deadline_s: float = 5.0) -> float:
    """Return how long it takes, from now, until jobs run again."""
    begin_s = time.monotonic()
    await wait_until(lambda: load.last_run_s > begin_s, what="work to go on", deadline_s=deadline_s)
    return time.monotonic() - begin_s


@pytest.mark.parametrize("software", SOFTWARE)
async def test_server_that_is_killed_and_restarted_loses_nothing(
    tmp_path: Path, software: Software
) -> None:
    options = ["--appendonly", "yes", "--appendfsync", "always"]
    with RedisServer.start(tmp_path, options=options, software=software) as server:
        async with under_load(server.url) as load:
            for _ in range(10 if FULL else 2):
                server.kill()
                await asyncio.sleep(0.3)
                server.restart()
                assert await goes_on(load) < 5.0


async def test_server_that_is_loading_its_data_is_awaited(tmp_path: Path) -> None:
    """It lets clients in and refuses what they ask until all is in memory."""
    options = ["--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "200"]
    with RedisServer.start(tmp_path, options=options) as server:
        fill = "for n = 1, 8000 do redis.call('SET', 'ballast:' .. n, n) end"
        server.command("EVAL", fill, 0)
        async with under_load(server.url) as load:
            server.kill()
            restarting = asyncio.create_task(asyncio.to_thread(server.restart))
            refusals = await answers_while(restarting, server)
            await restarting
            await goes_on(load)
    assert any(answer.startswith("LOADING") for answer in refusals)


async def answers_while(task: asyncio.Task[None], server: RedisServer) -> set[str]:
    """Return what a server says to a client while a task runs."""
    answers: set[str] = set()
    while not task.done():
        client = RedisClient(socket_path=server.socket_path)
        try:
            answers.add(str(await asyncio.to_thread(client.command, "GET", "ballast:1")))
        except RedisReplyError as refused:
            answers.add(str(refused))
        except OSError:  # not there yet
            await asyncio.sleep(0.01)
        finally:
            client.close()
    return answers


async def test_connections_that_are_killed_all_the_time(
    redis_url: str, redis_server: RedisServer
) -> None:
    async with under_load(redis_url) as load:
        for _ in range(150 if FULL else 15):
            redis_server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.2)
        await goes_on(load)
    twice = [key for key, runs in load.runs.items() if runs > 1]
    assert not twice, f"{len(twice)} of {len(load.runs)} ran more than once"


async def test_idle_worker_that_is_killed_takes_no_job_with_it(
    redis_url: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    def blocked() -> set[str]:
        clients = redis_server.command("CLIENT", "LIST").splitlines()
        facts = [dict(word.split("=", 1) for word in line.split()) for line in clients if line]
        return {one["id"] for one in facts if "b" in one["flags"]}

    stage = open_stage(tmp_path, url=redis_url)
    others = blocked()  # the server is shared with other tests
    for _ in range(20 if FULL else 3):
        victim = stage.worker(queues=["loop"], lease=3600.0)
        await victim.ready()
        await wait_until(lambda: blocked() - others, what="the worker to be idle")
        victim.kill()
        job = await stage.add("loop", "mark_on_loop", duration_s=0)
        assert await stage.figure("waiting") == 1
        await job.remove()
    await stage.close()


@pytest.mark.parametrize("software", SOFTWARE)
async def test_scripts_that_are_flushed_are_loaded_again(
    redis_url: str, redis_server: RedisServer
) -> None:
    async with under_load(redis_url) as load:
        for _ in range(20):
            redis_server.command("SCRIPT", "FLUSH")
            await goes_on(load)
    assert set(load.runs.values()) == {1}


async def test_half_open_connection_is_given_up(redis_url: str, redis_server: RedisServer) -> None:
    with Proxy(redis_server.port) as proxy:
        url = redis_url.replace(str(redis_server.port), str(proxy.url_port), 1)
        async with under_load(f"{url}&answer_timeout_s=1") as load:
            proxy.freeze()
            await wait_until(
                lambda: any("no answer for 1 s" in str(error) for error in load.troubles),
                what="the connection to be given up",
            )
            proxy.thaw()
            await goes_on(load, 10)


async def test_flush_of_everything_is_survived(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as server:
        async with App(server.url) as app:
            ran: set[int] = set()

            @app.task(queue=QUEUE, name="run")
            async def run(n: int) -> None:
                if n < 5:
                    await asyncio.sleep(0.5)
                ran.add(n)

            async with app.worker(queues=[QUEUE], concurrency=5, lease=2.0):
                old: list[Job[None]] = [await run.enqueue(n=n) for n in range(5)]
                await asyncio.sleep(0.2)
                server.command("FLUSHALL")
                fresh = [await run.enqueue(n=n) for n in range(10, 20)]
                await asyncio.gather(*(job.result(timeout_s=60) for job in fresh))
                await wait_until(lambda: len(ran) == 15, what="the old ones to end")

                async def registered() -> bool:
                    return len(await app.workers()) == 1

                await wait_until(registered, what="the worker to register again")
            assert len(old) == 5


async def test_full_memory_is_told_and_work_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as server:
        async with App(server.url) as app:
            await app.queue(QUEUE).add("run", {})
            server.command("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(StoreFullError, match="maxmemory"):
                await app.queue(QUEUE).add("run", {})
            server.command("CONFIG", "SET", "maxmemory", "0")
            await app.queue(QUEUE).add("run", {})

            info = await app.queue(QUEUE).info()
            assert info is not None
            assert info.waiting == 2


async def test_late_outcome_after_a_network_pause_is_dropped(
    redis_url: str, redis_server: RedisServer
) -> None:
    """The network stands still for longer than the lease: another worker does the job."""
    with Proxy(redis_server.port) as proxy:
        url = redis_url.replace(str(redis_server.port), str(proxy.url_port), 1)
        slow, quick = App(f"{url}&answer_timeout_s=0.5"), App(redis_url)
        lost: list[str] = []
        ran: list[str] = []

        def task(app: App, who: str, duration_s: float) -> None:
            @app.task(queue=QUEUE, name="run")
            async def run() -> str:
                ran.append(who)
                await asyncio.sleep(duration_s)
                return who

        task(slow, "slow", 2.5)
        task(quick, "quick", 0.01)
        slow.on("lease_lost")(lambda event: lost.append(str(event)))
        try:
            async with slow.worker(queues=[QUEUE], lease=1.0, sweep=60):
                job = await quick.queue(QUEUE).add("run", {})
                await wait_until(lambda: ran == ["slow"], what="the slow one to take it")
                proxy.freeze()
                async with quick.worker(queues=[QUEUE], lease=1.0, sweep=0.2):
                    assert await job.result(timeout_s=60) == "quick"
                    proxy.thaw()
                    await asyncio.sleep(2.0)
            info = await job.info()
            assert (info.result, info.attempts_started, info.stalled) == ("quick", 2, 1)
        finally:
            await slow.close()
            await quick.close()


@pytest.mark.parametrize("software", SOFTWARE)
async def test_failover_by_sentinels_is_followed(tmp_path: Path, software: Software) -> None:
    """Redis copies what it has acknowledged already: only that of this moment may be lost."""
    with Sentinels.start(tmp_path, software=software) as sentinels:
        async with under_load(sentinels.url, producers=1) as load:
            with load.excused():
                await asyncio.to_thread(sentinels.copy_all)
                await asyncio.to_thread(sentinels.failover)
            await goes_on(load, 30)


@pytest.mark.parametrize("software", SOFTWARE)
async def test_slot_that_moves_during_work(tmp_path: Path, software: Software) -> None:
    with Cluster.start(tmp_path, software=software) as cluster:
        async with under_load(f"{cluster.url}?prefix={{jobs}}") as load:
            slot = cluster.slot_of("{jobs}:work:meta")
            owner = cluster.owner(slot)
            target = next(node for node in cluster.servers if node.port != owner.port)
            cluster.move_slot(slot, target)
            await goes_on(load, 15)


async def test_producer_is_told_while_there_is_no_server(tmp_path: Path) -> None:
    with RedisServer.start(tmp_path) as server:
        url = f"{server.url}?connect_timeout_s=2"
        server.kill()
        async with App(url) as app:
            with pytest.raises(StoreUnreachableError) as away:
                await app.queue(QUEUE).add("run", {})
            assert not away.value.sent
