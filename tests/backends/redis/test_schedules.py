"""Schedules on Redis alone: a Cluster, keys that hold what they should not, what they cost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.contract import HandWorker
from tests.support.redis_servers import Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.engine.schedules.keeper import ScheduleKeeper

Q = "paint"


async def test_schedules_run_in_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("cluster") / "all"
    with Cluster.start(folder) as cluster:
        queues = [f"{{{name}}}" for name in ("a", "b", "c", "d")]
        ran: dict[str, int] = dict.fromkeys(queues, 0)
        async with App(cluster.url) as app:
            for queue in queues:

                @app.task(queue=queue, name="tick")
                async def tick(queue: str) -> None:
                    ran[queue] += 1

                await app.schedules.put(
                    "s", app.queue(queue), {"queue": queue}, name="tick", every=0.1, limit=3
                )
            async with app.worker():
                await wait_until(lambda: min(ran.values()) >= 3, what="three runs of each")

                async def ended() -> bool:
                    return all(one.ended for one in await app.schedules.list())

                await wait_until(ended)
            assert [one.queue for one in await app.schedules.list()] == queues
    assert set(ran.values()) == {3}


async def test_key_that_holds_something_else_costs_its_own_queue_only(
    redis_url: str, redis_server: RedisServer, redis_prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    redis_server.command("SET", f"{redis_prefix}:bad:repeat", "no zset")
    async with App(redis_url) as app:

        @app.schedule(every=0.1)
        @app.task(queue="good")
        async def tick() -> None: ...

        @app.schedule(every=0.1)
        @app.task(queue="bad")
        async def tock() -> None: ...

        async with app.worker(queues=["bad", "good"]):

            async def completed() -> bool:
                info = await app.queue("good").info()
                return info is not None and info.completed >= 2

            await wait_until(completed)

    assert "schedules of bad" in caplog.text


async def test_what_is_ours_of_a_schedule_that_node_has_removed_goes(
    redis_url: str, redis_server: RedisServer, redis_prefix: str
) -> None:
    base = f"{redis_prefix}:{Q}"
    async with App(redis_url) as app:
        await app.schedules.put("s", app.queue(Q), name="x", every=60, missed="skip")
        assert redis_server.command("HKEYS", f"{base}:toril:schedules") == ["s"]
        redis_server.command("ZREM", f"{base}:repeat", "s")
        redis_server.command("DEL", f"{base}:repeat:s")

        assert await ScheduleKeeper(app.backend().schedules).tend([Q]) == 0

    assert redis_server.command("EXISTS", f"{base}:toril:schedules") == 0


async def commands_of(server: RedisServer, backend: Any, queue: str, many: int) -> dict[str, int]:
    """Return how often each command ran while a worker took and completed so many jobs."""
    worker = HandWorker(backend)
    claimed = await worker.claim(queue)
    server.command("CONFIG", "RESETSTAT")
    for _ in range(many):
        await worker.end(claimed[0], "completed")
        claimed = await worker.claim(queue)
    lines = [line for line in server.command("INFO", "commandstats").splitlines() if ":" in line]
    found = {line.split(":")[0]: int(line.split("calls=")[1].split(",")[0]) for line in lines}
    ours = {"cmdstat_config|resetstat", "cmdstat_info", "cmdstat_config"}
    return {name: calls for name, calls in found.items() if name not in ours}


async def test_jobs_of_other_queues_cost_not_one_command_more(own_server: RedisServer) -> None:
    async with App(own_server.url) as app:
        plain = app.queue("plain")
        backend = app.backend()
        for attempt in range(3):
            await plain.set_history(False)  # of what takes no time it counts less
            await plain.add_many([("x", None)] * 70)
            minute = int(time.time()) // 60
            await commands_of(own_server, backend, "plain", 5)  # the first begins the metrics
            before = await commands_of(own_server, backend, "plain", 20)

            puts = [
                app.schedules.put(f"{attempt} {number}", app.queue("other"), name="x", every=3600)
                for number in range(50)
            ]
            await asyncio.gather(*puts)
            after = await commands_of(own_server, backend, "plain", 20)
            if int(time.time()) // 60 == minute:  # else the metrics of a minute were among them
                break

    assert after == before
    assert before["cmdstat_evalsha"] == 40
