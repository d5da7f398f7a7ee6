"""What BullMQ keeps that we have no word for: refused in a sentence, never half done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cli.support import Terminal
from tests.support.contract import HandWorker, Q, add, counts, job, line, record
from tests.support.redis_servers import RedisServer

from toril import App
from toril.backends import open_backend
from toril.cli.codes import STATE, USAGE
from toril.core.errors import (
    InvalidOptionError,
    StoreForeignError,
    StoreReadOnlyError,
    WrongStateError,
)
from toril.engine.contract import Backend
from toril.engine.states import State


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


async def test_waiting_parent_is_counted_listed_and_shown(backend: Backend, parent: str) -> None:
    assert await counts(backend) == {State.WAITING_CHILDREN: 1}
    assert await line(backend, State.WAITING_CHILDREN) == [parent]
    assert (await record(backend, parent)).state is State.WAITING_CHILDREN


async def test_waiting_parent_is_refused_and_left_alone(
    backend: Backend, redis_server: RedisServer, redis_prefix: str, parent: str
) -> None:
    """It was failed, and an error raised on top."""
    jobs = backend.jobs
    for refused in (
        jobs.remove(Q, parent),
        jobs.retry(Q, parent, reset_attempts=True),
        jobs.promote(Q, parent),
        jobs.change_delay(Q, parent, delay_ms=1),
    ):
        with pytest.raises(WrongStateError, match="'P' of queue 'paint' is waiting-children; only"):
            await refused
    await backend.bulk.drain(Q, delayed=True, limit=10)

    assert await counts(backend) == {State.WAITING_CHILDREN: 1}
    assert redis_server.command("ZSCORE", f"{redis_prefix}:{Q}:waiting-children", "P") == "1"
    assert redis_server.command("EXISTS", f"{redis_prefix}:{Q}:P:dependencies") == 1


async def test_queue_goes_with_its_waiting_parents(backend: Backend, parent: str) -> None:
    await backend.limits.pause(Q)

    assert await backend.bulk.obliterate(Q, force=False, limit=10) == 1

    assert await backend.jobs.get(Q, parent) is None


async def test_cleaning_does_not_cut_flows(redis_url: str, parent: str) -> None:
    async with App(redis_url) as app:
        with pytest.raises(InvalidOptionError, match="state='waiting-children'"):
            await app.queue(Q).clean("waiting-children")
        assert (await app.queue(Q).job(parent).info()).state is State.WAITING_CHILDREN


async def test_move_leaves_waiting_parents_where_their_children_are(
    redis_url: str, parent: str
) -> None:
    async with App(redis_url) as here, App("sqlite://:memory:") as there:
        await here.queue(Q).add("cars")

        (planned,) = await here.migrate_to(there, dry_run=True)
        (moved,) = await here.migrate_to(there)

        assert (planned.tied, planned.moved[State.WAITING_CHILDREN]) == (1, 0)
        assert (moved.tied, moved.tied_id, moved.moved[State.WAIT]) == (1, parent, 1)
        info = await here.queue(Q).info()
        assert info is not None
        assert (info.waiting, info.waiting_children) == (0, 1)


def test_command_line_shows_waiting_parents(redis_url: str, parent: str, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)

    head, row = terminal.here("queues", "--search", "--url", redis_url).out.splitlines()
    listed = terminal.here("jobs", "list", Q, "--url", redis_url).out
    shown = terminal.here("jobs", "show", Q, parent, "--url", redis_url).out
    removed = terminal.here("jobs", "remove", Q, parent, "--url", redis_url)
    cleaned = terminal.here("clean", Q, "--state", "waiting-children", "--url", redis_url)

    assert (head.split()[-1], row.split()[-1]) == ("CHILDREN", "1")
    assert "waiting-children" in listed
    assert "until its children are done" in listed
    assert shown.startswith("ship  paint P  WAITING-CHILDREN\n")
    assert "cancel it first, or remove its whole flow" in removed.err
    assert (removed.code, cleaned.code) == (STATE, USAGE)


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


@pytest.mark.parametrize(
    "signs",
    [
        {"meta": "bullmq:5.58.9", "paused": None},  # no job was in line
        {"meta": None, "paused": "other"},
        {"meta": None, "meta-paused": "1"},  # Bull 4: the same
    ],
)
async def test_everything_goes_beside_the_jobs_that_were_set_aside(
    backend: Backend,
    redis_server: RedisServer,
    redis_prefix: str,
    signs: dict[str, str | None],
) -> None:
    """The resume of Bull 4 and BullMQ 5 renames `paused` to `wait`, over what lies there."""
    base = f"{redis_prefix}:{Q}"
    worker = HandWorker(backend)
    failed, retried, given_back, late = await add(backend, *(job() for _ in range(4)))
    claimed = {one.id: one for one in await worker.claim(limit=4)}
    await worker.end(claimed[failed], "failed")
    await worker.end(claimed[late], "snoozed", wait_ms=60_000)
    redis_server.command("HSET", f"{base}:meta", "paused", 1)
    if signs["meta"]:
        redis_server.command("HSET", f"{base}:meta", "version", signs["meta"])
    if signs.get("paused"):
        redis_server.command("HSET", f"{base}:other", "name", "cars", "data", "{}", "opts", "{}")
        redis_server.command("LPUSH", f"{base}:paused", "other")
    if signs.get("meta-paused"):
        redis_server.command("SET", f"{base}:meta-paused", 1)

    (added,) = await add(backend, job())
    await worker.end(claimed[retried], "retried", wait_ms=0)
    await worker.end(claimed[given_back], "released", wait_ms=0)
    await backend.jobs.retry(Q, failed, reset_attempts=False)
    await backend.jobs.promote(Q, late)

    wanted = {added, retried, given_back, failed, late, *(["other"] if signs.get("paused") else [])}
    assert redis_server.command("EXISTS", f"{base}:wait") == 0
    assert set(redis_server.command("LRANGE", f"{base}:paused", 0, -1)) == wanted
    assert set(await line(backend, State.WAIT)) == wanted
    assert (await counts(backend))[State.WAIT] == len(wanted)
    assert await worker.claim(limit=9) == []

    await backend.limits.resume(Q)
    assert {one.id for one in await worker.claim(limit=9)} == wanted


async def test_pause_of_version_6_leaves_the_line_where_it_is(
    backend: Backend, redis_server: RedisServer, redis_prefix: str
) -> None:
    base = f"{redis_prefix}:{Q}"
    redis_server.command("HSET", f"{base}:meta", "version", "bullmq:5.58.9")
    await add(backend, job())
    await backend.limits.pause(Q)

    await add(backend, job())

    assert redis_server.command("LLEN", f"{base}:wait") == 2
    assert redis_server.command("EXISTS", f"{base}:paused", f"{base}:meta-paused") == 0


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
    assert {one.subject: one.grade for one in health.findings}["eviction"] == "error"


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
