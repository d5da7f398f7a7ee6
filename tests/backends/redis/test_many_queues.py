"""A worker of many queues: connections do not grow with them without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.redis_servers import Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.backends.redis import presence
from toril.backends.redis.keys import Keys
from toril.backends.redis.presence import MAX_SHOWN
from toril.backends.redis.wakeups import MOST_WATCHES

MANY = 500
OTHERS = 8
"""Connections beside those that show queues: calls, beats, the wait for jobs, and the test's."""


def app_of(url: str, queues: list[str]) -> App:
    app = App(url)

    async def work(number: int) -> int:
        return number

    for queue in queues:
        app.task(queue=queue, name="work")(work)
    return app


def connections(server: RedisServer) -> list[str]:
    """Return a line for each connection of ours, and none of the servers'."""
    listed = server.command("CLIENT", "LIST").splitlines()
    return [line for line in listed if " name=toril " in line or " name=bull:" in line]


async def run(app: App, queue: str) -> None:
    job = await app.find_task("work", queue).enqueue(number=3)
    assert await job.result(timeout_s=60) == 3


def shown(server: RedisServer) -> list[str]:
    """Return a line for each connection that shows a worker to BullMQ's tools."""
    return [line for line in connections(server) if " name=toril " not in line]


async def test_worker_of_500_queues_has_few_connections(server: RedisServer) -> None:
    """It had 504: one for each queue, whose name shows the worker to BullMQ's tools."""
    queues = [f"queue-{number}" for number in range(MANY)]
    async with app_of(server.url, queues) as app, app.worker(concurrency=4):
        await run(app, queues[0])
        await run(app, queues[-1])
        await wait_until(lambda: len(shown(server)) == 1)

        assert len(connections(server)) <= 1 + OTHERS
        (worker,) = await app.workers()
        assert sorted(worker.queues) == sorted(queues)


async def test_worker_is_shown_for_its_first_queue_and_where_bullmq_is(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "CHECK_S", 0.05)
    monkeypatch.setattr(presence, "VERSIONS_S", 0.1)
    keys = Keys("bull")
    queues = ["one", "two", "three"]
    server.command("HSET", keys.meta("two"), "version", "bullmq:6.7.0")
    async with app_of(server.url, queues) as app, app.worker() as worker:

        def names() -> set[str]:
            words = [line.split(" ") for line in shown(server)]
            return {word[5:] for line in words for word in line if word.startswith("name=")}

        def named(*queues: str) -> set[str]:
            return {keys.client_name(queue, worker.id) for queue in queues}

        await wait_until(lambda: names() == named("one", "two"))

        server.command("HSET", keys.meta("three"), "version", "bullmq:6.7.0")
        await wait_until(lambda: names() == named("one", "two", "three"))

        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await wait_until(lambda: names() == named("one", "two", "three"))
    await wait_until(lambda: shown(server) == [])


async def test_worker_of_many_queues_of_bullmq_is_not_shown_for_all(server: RedisServer) -> None:
    queues = [f"queue-{number}" for number in range(2 * MAX_SHOWN)]
    for queue in queues:
        server.command("HSET", f"bull:{queue}:meta", "version", "bullmq:6.7.0")
    async with app_of(server.url, queues) as app, app.worker(concurrency=4):
        await run(app, queues[-1])
        await wait_until(lambda: len(shown(server)) == MAX_SHOWN)

        await run(app, queues[0])
        assert len(shown(server)) == MAX_SHOWN
        assert len(connections(server)) <= MAX_SHOWN + OTHERS


async def test_worker_of_many_slots_has_few_connections(tmp_path: Path) -> None:
    """In a Cluster one more connection waited for the jobs of each slot."""
    queues = [f"{{queue-{number}}}" for number in range(MOST_WATCHES + 28)]
    with Cluster.start(tmp_path / "all") as cluster:
        async with app_of(cluster.url, queues) as app, app.worker(concurrency=4):
            for queue in (queues[0], queues[-1]):
                await run(app, queue)
            idle = [asyncio.create_task(run(app, queue)) for queue in queues[-3:]]
            await asyncio.gather(*idle)
            await wait_until(
                lambda: (
                    sum(
                        " cmd=bzpopmin " in line
                        for node in cluster.servers
                        for line in connections(node)
                    )
                    == MOST_WATCHES
                )
            )

            # One that sleeps is not told of the last queue's job: it looks once a second.
            await run(app, queues[-1])

            there = sum(len(connections(node)) for node in cluster.servers)
            # Calls and beats: one each for every node.
            assert there <= 1 + MOST_WATCHES + OTHERS + 2 * len(cluster.servers)
