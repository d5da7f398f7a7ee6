"""The move, cut short at any point: each job is in Redis once."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest
from tests.fallback.support import away, back, ids_in_line
from tests.support.redis_server import RedisServer

from toril import App, Context, JobOptions, State
from toril.core.errors import StoreUnreachableError
from toril.engine.contract import Backend
from toril.engine.job import NewJob, WholeJob
from toril.engine.repeats import CallId, Repeats
from toril.fallback.lock import MoveLock
from toril.fallback.mover import Mover
from toril.fallback.spool import CALLS, Spool


class KilledError(Exception):
    """Stands for the end of the process."""


class Dying:
    """A Redis whose next answer is lost with the process that waits for it."""

    def __init__(self, repeats: object, *, before: bool) -> None:
        self._repeats = repeats
        self._before = before

    def __getattr__(self, name: str) -> Callable[..., object]:
        async def call(*arguments: object) -> object:
            if not self._before:
                await getattr(self._repeats, name)(*arguments)
            raise KilledError

        return call


async def nothing_wrong() -> None:
    return None


def mover(spool: Backend, repeats: object) -> Mover:
    return Mover(
        Spool(spool),
        cast("Repeats", repeats),
        MoveLock(None),
        max_stalled=1,
        probe=nothing_wrong,
    )


@pytest.fixture
async def stores(server: RedisServer, spool: str) -> AsyncIterator[tuple[Backend, Backend]]:
    async with App(server.url) as redis, App(spool) as file:
        yield redis.backend(), file.backend()


async def spooled(spool: Backend, *ids: str) -> None:
    await spool.jobs.add([NewJob(queue="mail", name="x", data="{}", job_id=one) for one in ids])


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
async def test_death_around_the_adoption_doubles_nothing(
    stores: tuple[Backend, Backend], server: RedisServer, before: bool
) -> None:
    redis, spool = stores
    await spooled(spool, "f-1", "f-2")
    with pytest.raises(KilledError):
        await mover(spool, Dying(redis.repeats, before=before)).pass_over()
    if not before:  # a worker runs one of them, and keeps nothing of it
        assert await redis.jobs.remove("mail", "f-1") is State.WAIT
    assert await mover(spool, redis.repeats).pass_over() == 2

    expected = ["f-1", "f-2"] if before else ["f-2"]
    assert ids_in_line(server, "mail") == expected
    assert await Spool(spool).left() == 0


async def test_death_before_jobs_have_left_their_line_doubles_nothing(
    stores: tuple[Backend, Backend], server: RedisServer
) -> None:
    redis, spool = stores
    await spooled(spool, "f-1")
    record = await spool.jobs.get("mail", "f-1")
    assert record is not None
    await Spool(spool).keep_whole(CallId("book", 1), "mail", [WholeJob(record, [])])
    await mover(spool, redis.repeats).open_again()

    assert await spool.jobs.get("mail", "f-1") is None, "Redis may have it: it may not run here"
    await mover(spool, redis.repeats).pass_over()
    assert ids_in_line(server, "mail") == ["f-1"]


async def test_no_job_of_the_spool_starts_during_a_move(
    stores: tuple[Backend, Backend],
) -> None:
    redis, spool = stores
    await spooled(spool, "f-1")
    with pytest.raises(KilledError):
        await mover(spool, Dying(redis.repeats, before=True)).pass_over()
    queue = await spool.counts.queue("mail")
    assert queue is not None
    assert queue.paused
    await mover(spool, redis.repeats).open_again()
    queue = await spool.counts.queue("mail")
    assert queue is not None
    assert not queue.paused


async def test_job_whose_id_redis_has_is_dropped(
    stores: tuple[Backend, Backend], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    redis, spool = stores
    await redis.jobs.add([NewJob(queue="mail", name="first", data="{}", job_id="own")])
    await spooled(spool, "own", "f-1")
    await mover(spool, redis.repeats).pass_over()

    assert ids_in_line(server, "mail") == ["own", "f-1"]
    said = [line for line in caplog.messages if "was not moved" in line]
    assert said == ["job own of queue 'mail' was not moved: Redis has a job of this id"]
    assert server.command("HGET", "bull:mail:own", "name") == "first"
    assert await Spool(spool).left() == 0


async def test_finished_jobs_move_with_results_and_logs(
    stores: tuple[Backend, Backend],
) -> None:
    redis, spool = stores
    app = App(spool.url)

    @app.task(queue="mail")
    async def good(ctx: Context) -> int:
        ctx.log("a line")
        return 7

    async with app:
        await good.with_options(job_id="f-good").enqueue()
        await app.worker().run(until_idle=True)
    await mover(spool, redis.repeats).pass_over()

    record = await redis.jobs.get("mail", "f-good")
    assert record is not None
    assert (record.state, record.result, record.attempts_made) == (State.COMPLETED, "7", 1)
    assert await redis.logs.read("mail", "f-good", start=0, limit=10) == (["a line"], 1)


async def test_queue_that_redis_refuses_holds_up_no_other(
    stores: tuple[Backend, Backend], server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis, spool = stores
    server.command("RPUSH", "bull:old:paused", "1")
    await spool.jobs.add([NewJob(queue="old", name="x", data="{}", job_id="f-0")])
    await spooled(spool, "f-1")
    one = mover(spool, redis.repeats)
    await one.pass_over()
    await one.pass_over()

    assert ids_in_line(server, "mail") == ["f-1"]
    assert await Spool(spool).left() == 1
    said = [line for line in caplog.messages if "cannot move to Redis" in line]
    assert len(said) == 1
    server.command("DEL", "bull:old:paused")
    await mover(spool, redis.repeats).pass_over()
    assert ids_in_line(server, "old") == ["f-0"]


async def test_silence_during_a_move_ends_the_pass(
    stores: tuple[Backend, Backend], server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, spool = stores
    await spooled(spool, "f-1")
    monkeypatch.setattr("toril.fallback.mover.ANSWER_S", 0.2)
    await redis.jobs.get("mail", "x")
    server.pause()
    with pytest.raises(StoreUnreachableError, match="during the move"):
        await mover(spool, redis.repeats).pass_over()
    server.resume()
    await mover(spool, redis.repeats).pass_over()
    assert ids_in_line(server, "mail") == ["f-1"]


async def test_only_one_process_moves_at_a_time(
    stores: tuple[Backend, Backend], tmp_path: Path
) -> None:
    redis, spool = stores
    await spooled(spool, "f-1")
    path = str(tmp_path / "move")
    assert redis.repeats is not None
    two = Mover(Spool(spool), redis.repeats, MoveLock(path), max_stalled=1, probe=nothing_wrong)
    with MoveLock(path).tried() as mine:
        assert mine
        assert await two.pass_over() is None
        await two.open_again()
    assert await two.pass_over() == 1


async def test_spool_of_a_dead_process_is_moved_by_the_next(
    server: RedisServer, spool: str, make_app: Callable[..., App]
) -> None:
    async with App(spool) as file:
        backend = file.backend()
        await spooled(backend, "f-1")
        late = NewJob(queue="mail", name="x", data="{}", delay_ms=600_000)
        await Spool(backend).keep(CallId("book", 3), [late], unsure=False)
        await Spool(backend).keep(
            CallId("book", 1),
            [NewJob(queue="mail", name="x", data="{}", job_id="own")],
            unsure=False,
        )
        await Spool(backend).keep(
            CallId("book", 2), [NewJob(queue="mail", name="x", data="{}")], unsure=True
        )
    app = make_app(work=False)
    await app.queue("other").add("x", {})
    await back(app)

    assert sorted(ids_in_line(server, "mail")) == ["f-1", "f-book-2-0", "own"]
    assert server.command("ZRANGE", "bull:mail:delayed", 0, -1) == ["f-book-3-0"]


async def test_entries_are_read_as_they_were_written(spool: str) -> None:
    """A spool may be read by a newer version: its form is this."""
    async with App(spool) as file:
        backend = file.backend()
        await Spool(backend).keep(
            CallId("book", 3), [NewJob(queue="mail", name="x", data="{}", job_id="own")],
            unsure=False,
        )  # fmt: skip
        page = await file.queue(CALLS).jobs(State.WAIT)
        assert [one.id for one in page.jobs] == ["mail:own"]
        record = await backend.jobs.get(CALLS, "mail:own")
    assert record is not None
    entry = msgspec.json.decode(record.data)
    assert entry["call"] == ["booku", 300_000]
    assert entry["queue"] == "mail"
    assert entry["ids"] == ["own"]


async def test_delays_count_from_when_the_job_was_added(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.kill()
    await away(app)
    job = await queue.add("send", {}, JobOptions(delay_s=1000, job_id="own"))
    told = (await job.info()).run_at
    server.restart()
    await back(app)
    assert (await job.info()).run_at == told


async def test_aliases_are_forgotten_after_a_day(
    stores: tuple[Backend, Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, spool = stores
    await Spool(spool).remember("mail", "f-1", "7")
    await mover(spool, redis.repeats).pass_over()
    assert await Spool(spool).alias("mail", "f-1") == "7"
    monkeypatch.setattr("toril.fallback.spool.ALIASES_KEPT_MS", -1000)
    await mover(spool, redis.repeats).pass_over()
    assert await Spool(spool).alias("mail", "f-1") == "f-1"
