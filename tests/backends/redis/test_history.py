"""History on Redis alone: keys that hold what they should not, BullMQ's metrics, a Cluster."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.contract import HandWorker, Q, add, add_one
from tests.support.history import YEAR, write_a_year
from tests.support.redis_clock import REDIS_START_MS, RedisClock
from tests.support.redis_servers import Cluster, RedisServer
from tests.support.waiting import wait_until

from toril import App
from toril.backends import open_backend
from toril.engine.contract import Backend, Level
from toril.engine.contract.history import MINUTE_MS


async def counted(backend: Backend, queue: str = Q) -> int:
    rows = await backend.history.read(queue, Level.EVER, since_ms=0, until_ms=0)
    return sum(row.tally.completed for row in rows)


@pytest.mark.parametrize("suffix", ["", ":ever", ":blocks", ":calendar"])
async def test_key_that_holds_something_else_costs_nothing_but_the_history(
    redis_url: str,
    redis_server: RedisServer,
    redis_prefix: str,
    caplog: pytest.LogCaptureFixture,
    suffix: str,
) -> None:
    clock = RedisClock([redis_server], [redis_prefix])
    backend = open_backend(redis_url, clock=clock)
    worker, key = HandWorker(backend), f"{redis_prefix}:{Q}:toril:history{suffix}"
    try:
        await add_one(backend)
        await worker.end(await worker.claim_one(), "completed")
        await add_one(backend, queue="beside")
        await worker.end(await worker.claim_one("beside"), "completed")
        redis_server.command("DEL", key)
        redis_server.command("SET", key, "nonsense")

        await add(backend)
        assert await worker.end(await worker.claim_one(), "completed") == "ok"
        clock.advance(60)
        await backend.history.roll_up(limit=100)

        assert await counted(backend, "beside") == 1
        assert f"queue {Q!r}" in caplog.text or f"{Q}" in caplog.text
        health = await backend.lifecycle.check()
        assert any("toril:history" in finding.text for finding in health.findings)
        done = await backend.lifecycle.repair(health.repairs, max_stalled=1)
        assert [repair.act for repair in done] == ["set_aside"]
        await add_one(backend)
        await worker.end(await worker.claim_one(), "completed")
        assert await counted(backend) >= 1
    finally:
        await backend.lifecycle.close()


async def test_of_a_queue_of_bullmq_its_metrics_are_read(
    redis_url: str, redis_server: RedisServer, redis_prefix: str
) -> None:
    """As its workers write them that are told to; `[0,0,1,3]` are the minutes, newest first."""
    clock = RedisClock([redis_server], [redis_prefix])
    backend = open_backend(redis_url, clock=clock)
    now_ms = REDIS_START_MS
    base = f"{redis_prefix}:node:metrics:completed"
    redis_server.command("HSET", base, "count", "6", "prevTS", str(now_ms), "prevCount", "4")
    redis_server.command("RPUSH", f"{base}:data", "0", "0", "1", "3")
    try:
        rows = await backend.history.read(
            "node", Level.MINUTE, since_ms=now_ms - 10 * MINUTE_MS, until_ms=now_ms + MINUTE_MS
        )
        minute_ms = now_ms - now_ms % MINUTE_MS

        found = {(minute_ms - row.start_ms) // MINUTE_MS: row.tally.completed for row in rows}
        assert found == {0: 2, 3: 1, 4: 3}
        assert {row.task for row in rows} == {"*"}
        assert await counted(backend, "node") == 6
    finally:
        await backend.lifecycle.close()


async def test_history_in_a_cluster(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("cluster") / "all"
    with Cluster.start(folder) as cluster:
        async with App(cluster.url) as app:
            queues = [f"{{{name}}}" for name in ("a", "b", "c")]

            for queue in queues:

                @app.task(queue=queue, name="tick")
                async def tick() -> None: ...

                await tick.enqueue_many([{}] * 5)
            async with app.worker():

                async def done() -> bool:
                    return all(one.completed_total == 5 for one in await app.queues())

                await wait_until(done)
            await app.backend().history.roll_up(limit=100)
            for queue in queues:
                assert (await app.history(queue)).total.completed == 5


async def test_year_of_a_task_takes_few_megabytes(
    redis_url: str, redis_server: RedisServer, redis_prefix: str
) -> None:
    clock = RedisClock([redis_server], [redis_prefix])
    backend = open_backend(redis_url, clock=clock)
    try:
        await write_a_year(backend, clock)

        rows = [
            await backend.history.read(Q, level, since_ms=0, until_ms=2**50)
            for level in (Level.MINUTE, Level.HOUR, Level.DAY)
        ]
        keys = redis_server.command("KEYS", f"{redis_prefix}:{Q}:toril:history*")
        size = sum(
            redis_server.command("MEMORY", "USAGE", key, "SAMPLES", "0") or 0 for key in keys
        )
    finally:
        await backend.lifecycle.close()

    print(f"a year of one task: {[len(found) for found in rows]} rows, {size / 1e6:.2f} MB, "
          f"{len(keys)} keys")  # fmt: skip
    assert len(rows[0]) <= YEAR.minutes_most
    assert len(rows[1]) <= YEAR.hours_most
    assert len(keys) < 40
    assert size < 10_000_000
