"""A worker of many queues: connections do not grow with them without end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.support.redis_servers import Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.backends.redis.wakeups import MOST_WATCHES
from toril.backends.redis.workers import MOST_PRESENT

pytestmark = pytest.mark.timeout(120)

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
    assert await job.result(timeout_s=10) == 3


async def test_worker_of_500_queues_has_few_connections(server: RedisServer) -> None:
    """It had 504: one for each queue, whose name shows the worker to BullMQ's tools."""
    queues = [f"queue-{number}" for number in range(MANY)]
    async with app_of(server.url, queues) as app, app.worker(concurrency=4):
        await run(app, queues[0])
        await run(app, queues[-1])
        shown = [line for line in connections(server) if " name=toril " not in line]
        await wait_until(
            lambda: (
                len([one for one in connections(server) if " name=toril " not in one])
                == MOST_PRESENT
            )
        )

        assert len(shown) <= MOST_PRESENT
        assert len(connections(server)) <= MOST_PRESENT + OTHERS
        (worker,) = await app.workers()
        assert sorted(worker.queues) == sorted(queues)


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
            assert there <= MOST_PRESENT + MOST_WATCHES + OTHERS + 2 * len(cluster.servers)
