"""What BullMQ keeps that we have no word for: refused in a sentence, never half done."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.support.contract import HandWorker, Q, job
from tests.support.redis_servers import RedisServer

from toril.backends import open_backend
from toril.core.errors import StoreForeignError, StoreReadOnlyError, WrongStateError
from toril.engine.contract import Backend


@pytest.fixture
async def backend(redis_url: str) -> AsyncIterator[Backend]:
    """A store on the common server."""
    backend = open_backend(redis_url)
    yield backend
    await backend.lifecycle.close()


@pytest.fixture
def parent(redis_server: RedisServer, redis_prefix: str) -> str:
    """A job of a flow that waits for its children, as Node leaves it; its id."""
    base = f"{redis_prefix}:{Q}"
    redis_server.command("HSET", f"{base}:meta", "opts.maxLenEvents", "10000")
    redis_server.command(
        "HSET", f"{base}:P", "name", "ship", "data", "{}", "opts", "{}", "timestamp", "1"
    )
    redis_server.command("ZADD", f"{base}:waiting-children", 1, "P")
    redis_server.command("SADD", f"{base}:P:dependencies", f"{redis_prefix}:kids:C")
    return "P"


async def test_waiting_parent_is_refused_and_left_alone(
    backend: Backend, redis_server: RedisServer, redis_prefix: str, parent: str
) -> None:
    """It was failed, and an error raised on top."""
    with pytest.raises(WrongStateError, match="waits for its children"):
        await backend.jobs.get(Q, parent)
    with pytest.raises(WrongStateError, match="waits for its children"):
        await backend.jobs.cancel(Q, parent, reason="no")
    with pytest.raises(WrongStateError, match="waits for its children"):
        await backend.jobs.remove(Q, parent)

    assert redis_server.command("ZSCORE", f"{redis_prefix}:{Q}:waiting-children", "P") == "1"
    assert redis_server.command("EXISTS", f"{redis_prefix}:{Q}:P:dependencies") == 1


async def test_queue_with_schedulers_of_node_is_not_worked(
    backend: Backend, redis_server: RedisServer, redis_prefix: str
) -> None:
    """The schedule ended with the first job that was taken."""
    redis_server.command("ZADD", f"{redis_prefix}:{Q}:repeat", 1, "nightly")
    await backend.jobs.add([job()])

    with pytest.raises(StoreForeignError, match="job schedulers of BullMQ"):
        await HandWorker(backend).claim()


async def test_queue_that_version_5_has_paused_is_refused_until_resumed(
    backend: Backend, redis_server: RedisServer, redis_prefix: str
) -> None:
    redis_server.command("RPUSH", f"{redis_prefix}:{Q}:paused", "1")

    with pytest.raises(StoreForeignError, match=f"toril resume {Q}"):
        await backend.jobs.add([job()])
    with pytest.raises(StoreForeignError, match="set its jobs aside"):
        await HandWorker(backend).claim()

    await backend.limits.resume(Q)
    await backend.jobs.add([job()])
    assert redis_server.command("LLEN", f"{redis_prefix}:{Q}:wait") == 2


async def test_job_whose_hash_is_gone_is_passed_over(
    backend: Backend, redis_server: RedisServer, redis_prefix: str
) -> None:
    """BullMQ works it as a job without a name."""
    await backend.jobs.add([job(), job()])
    redis_server.command("DEL", f"{redis_prefix}:{Q}:1")

    assert [one.id for one in await HandWorker(backend).claim(limit=5)] == ["2"]
    assert redis_server.command("LRANGE", f"{redis_prefix}:{Q}:active", 0, -1) == ["2"]


async def test_replica_is_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    with (
        RedisServer.start(tmp_path_factory.mktemp("primary")) as primary,
        RedisServer.start(
            tmp_path_factory.mktemp("replica"),
            options=["--replicaof", "127.0.0.1", str(primary.port)],
        ) as replica,
    ):
        backend = open_backend(replica.url)
        try:
            with pytest.raises(StoreReadOnlyError, match="this is a replica"):
                await backend.jobs.add([job()])
        finally:
            await backend.lifecycle.close()


async def test_server_that_evicts_is_warned_of(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    options = ["--maxmemory-policy", "allkeys-lru"]
    with RedisServer.start(tmp_path_factory.mktemp("lru"), options=options) as server:
        backend = open_backend(server.url)
        try:
            await backend.jobs.add([job()])
            health = await backend.lifecycle.check()
        finally:
            await backend.lifecycle.close()

    assert "CONFIG SET maxmemory-policy noeviction" in caplog.text
    assert {one.subject: one.grade for one in health.findings}["eviction"] == "warning"


async def test_delayed_id_whose_job_is_gone_leaves_nothing_behind(
    backend: Backend, redis_server: RedisServer, redis_prefix: str
) -> None:
    """It left a hash with nothing but a delay, for ever."""
    base = f"{redis_prefix}:{Q}"
    await backend.jobs.add([job()])
    redis_server.command("ZADD", f"{base}:delayed", 4096, "gone")

    claimed = await HandWorker(backend).claim(limit=5)

    assert len(claimed) == 1
    assert redis_server.command("EXISTS", f"{base}:gone", f"{base}:delayed") == 0
