"""More rows of the docs' table: what the spool does in its own way, and what is settled later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from tests.fallback.support import away, back, ids_in_line
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App, Context, JobOptions, RateLimit, RetryPolicy, State, StoreUnreachableError
from toril.core.errors import JobNotFoundError
from toril.outbox.table import create_outbox


async def test_result_is_awaited_across_the_return(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """Who began to wait during the outage is told though the job ran in Redis."""
    app = make_app(work=False)

    @app.task(queue="mail")
    async def double(n: int) -> int:
        return 2 * n

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    plain = await double.enqueue(n=21)
    unique = await double.with_options(job_id="own").enqueue(n=4)
    waiting = [asyncio.create_task(job.result(timeout_s=90)) for job in (plain, unique)]
    await asyncio.wait(waiting, timeout=0.5)
    assert not any(one.done() for one in waiting)
    server.restart()
    await back(app)
    async with app.worker(queues=["mail"]):
        assert await asyncio.gather(*waiting) == [42, 8]


async def test_result_is_not_known_elsewhere_before_the_move(app: App, server: RedisServer) -> None:
    """Another machine asks Redis, which has not heard of the job yet."""

    @app.task(queue="mail")
    async def double(n: int) -> int:
        return 2 * n

    await app.queue("other").add("x", {})
    server.pause()
    await away(app)
    job = await double.enqueue(n=21)
    server.resume()
    async with App(f"{server.url}?answer_timeout_s=5") as elsewhere:
        there = elsewhere.queue("mail").job(job.id)
        state = await app.store_state()
        if state.live == "spool":
            with pytest.raises(JobNotFoundError):
                await there.result(timeout_s=30)
        await back(app)
        async with app.worker(queues=["mail"]):
            assert await there.result(timeout_s=60) == 42


async def test_rate_limit_of_a_worker_holds_in_the_spool(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """Local only: counted over those that share the file."""
    app = make_app()
    begun: list[float] = []

    @app.task(queue="mail")
    async def send() -> None:
        begun.append(time.monotonic())

    await app.queue("other").add("x", {})
    async with app.worker(queues=["mail"], rate=RateLimit(limit=2, window_s=1.0)):
        server.kill()
        await away(app)
        await asyncio.gather(*(send.enqueue() for _ in range(6)))
        await wait_until(lambda: len(begun) == 6, deadline_s=60)
    # Six at two a second: two windows pass before the last two begin.
    assert begun[-1] - begun[0] >= 1.5


async def test_limit_and_pause_of_the_queue_do_not_hold_in_the_spool(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail")
    async def send() -> str:
        return "sent"

    queue = app.queue("mail")
    await app.queue("other").add("x", {})
    await queue.set_rate(RateLimit(limit=1, window_s=3600.0))
    await queue.pause()
    server.kill()
    await away(app)
    jobs = [await send.enqueue() for _ in range(3)]
    assert [await job.result(timeout_s=60) for job in jobs] == ["sent"] * 3
    server.restart()
    await back(app)
    info = await queue.info()
    assert info is not None
    assert info.paused, "Redis' own pause is as it was"
    assert info.rate_limit == 1


async def test_letter_of_a_task_is_left_in_the_spool_and_moves(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail", dead_letter="dead", retry=RetryPolicy(max_attempts=1))
    async def fail() -> None:
        raise ValueError("no such mailbox")

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    job = await fail.enqueue()

    async def letters() -> list[str]:
        page = await app.dead_letters("dead").list()
        return [letter.original_job_id for letter in page.letters]

    async def left() -> bool:
        return await letters() == [job.id]

    await wait_until(left, deadline_s=60)
    assert (await job.info()).state is State.FAILED
    server.restart()
    await back(app)
    assert await letters() == [job.id]
    assert len(ids_in_line(server, "dead")) == 1
    assert (await job.info()).failed_reason == "ValueError: no such mailbox"


async def test_letter_of_a_rule_in_redis_is_written_after_the_move(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail", retry=RetryPolicy(max_attempts=1))
    async def fail() -> None:
        raise ValueError("no such mailbox")

    await app.queue("mail").set_dead_letter("dead")
    server.kill()
    await away(app)
    job = await fail.enqueue()

    async def failed() -> bool:
        return (await job.info()).state is State.FAILED

    await wait_until(failed, deadline_s=60)
    server.restart()
    await back(app)
    async with app.worker(queues=["mail"], sweep=0.5):
        await wait_until(lambda: ids_in_line(server, "dead"), deadline_s=90, what="the letter")
    page = await app.dead_letters("dead").list()
    assert [letter.original_job_id for letter in page.letters] == [job.id]


async def test_schedule_makes_its_runs_after_the_outage(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()
    ran: list[str] = []

    @app.task(queue="mail")
    async def tick(ctx: Context) -> None:
        ran.append(ctx.job_id)

    await app.schedules.put("often", tick, every=1.0)
    server.kill()
    await away(app)
    with pytest.raises(StoreUnreachableError, match="schedules are kept in Redis"):
        await app.schedules.put("other", tick, every=1.0)
    assert not ran
    server.restart()
    await back(app)
    async with app.worker(queues=["mail"]):
        await wait_until(lambda: len(ran) >= 2, deadline_s=60)
    assert len(set(ran)) == len(ran)


async def test_events_and_logs_of_a_job_in_the_spool_can_be_read(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail")
    async def note(ctx: Context) -> None:
        ctx.log("from the spool")

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    job = await note.enqueue()
    await job.result(timeout_s=60)
    assert await job.logs() == ["from the spool"]
    told = await app.backend().events.newest("mail", limit=50)
    assert "completed" in [event.name for event in told if event.job_id == job.id]
    found = await app.search("queue:mail state:completed")
    assert [one.id for one in found.jobs] == [job.id]
    server.restart()
    await back(app)
    assert await job.logs() == ["from the spool"], "they move along"


async def test_job_that_waits_for_redis_is_shown_and_cannot_be_changed(
    app: App, server: RedisServer
) -> None:
    queue = app.queue("mail")
    await queue.add("x", {})
    server.kill()
    await away(app)
    job = await queue.add("send", {"n": 1}, JobOptions(job_id="own"))
    assert (await job.info()).data == {"n": 1}
    with pytest.raises(StoreUnreachableError, match="job own of queue 'mail' waits for it"):
        await job.remove()
    await queue.info()
    with pytest.raises(StoreUnreachableError, match="queue 'nowhere' is not in the spool"):
        await app.queue("nowhere").info()


async def test_rows_of_an_outbox_wait_for_redis(
    make_app: Callable[..., App], server: RedisServer, tmp_path: object
) -> None:
    """They are safe where they are: the caller's database."""
    place = f"sqlite:///{tmp_path}/shop.db"
    engine = create_engine(place, poolclass=NullPool)
    with engine.begin() as connection:
        create_outbox(connection)
    app = make_app(f"{server.url}?answer_timeout_s=1")
    app.use_outbox(place)

    @app.task(queue="mail")
    async def double(n: int) -> int:
        return 2 * n

    await app.queue("other").add("x", {})
    async with app.worker(queues=["mail"]):
        server.kill()
        await away(app)
        with Session(engine) as session, session.begin():
            job = double.enqueue_in_sync(session, n=21)
        [queue] = await app.outbox.status()
        assert (queue.queue, queue.waiting) == ("mail", 1)
        assert (await app.store_state()).to_move == 0
        server.restart()
        await back(app)

        async def relayed() -> bool:
            return not await app.outbox.status()

        await wait_until(relayed, deadline_s=60, what="the relay")
        assert await job.result(timeout_s=60) == 42
    engine.dispose()
