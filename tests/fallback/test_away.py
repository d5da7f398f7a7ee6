"""What works while Redis is away, and what does not: each row of the table in the docs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.fallback.support import away, back, ids_in_line
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from toril import App, Context, Deduplication, JobOptions, Node, State, StoreUnreachableError
from toril.core.errors import JobNotFoundError


async def test_plain_job_is_added_and_runs_while_redis_is_away(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail")
    async def double(n: int) -> int:
        return 2 * n

    await double.enqueue(n=1)
    server.kill()
    begun_s = time.monotonic()
    await double.enqueue(n=2)  # it may have reached Redis, which has to come back to tell
    took_s = time.monotonic() - begun_s
    job = await double.enqueue(n=21)

    assert took_s < 5.0, "a busy machine may add to the second, but not Redis' time-out of 15 s"
    assert await job.result(timeout_s=30) == 42
    assert (await job.info()).state is State.COMPLETED


async def test_jobs_move_once_each_in_order(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    first = await queue.add("send", {"n": 0})
    server.kill()
    await away(app)
    jobs = [await queue.add("send", {"n": n}) for n in range(1, 30)]
    server.restart()
    await back(app)

    assert ids_in_line(server, "mail") == [first.id, *(job.id for job in jobs)]
    assert not any(job.id.isdecimal() for job in jobs), "Redis gives numbers itself"
    numbers = [
        json.loads(server.command("HGET", f"bull:mail:{job.id}", "data"))["n"] for job in jobs
    ]
    assert numbers == list(range(1, 30))


async def test_delay_and_priority_are_kept(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.kill()
    await away(app)
    added_s = time.time()
    late = await queue.add("send", {}, JobOptions(delay_s=3600))
    low = await queue.add("send", {}, JobOptions(priority=9))
    high = await queue.add("send", {}, JobOptions(priority=2))
    assert (await late.info()).state is State.DELAYED
    server.restart()
    await back(app)

    due = (await late.info()).run_at
    assert due is not None
    assert abs(due.timestamp() - added_s - 3600) < 30
    waiting = server.command("ZRANGE", "bull:mail:prioritized", 0, -1)
    assert waiting == [high.id, low.id]


async def test_unique_id_waits_for_redis_and_is_one_job(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()
    ran: list[str] = []

    @app.task(queue="mail")
    async def send(who: str) -> None:
        ran.append(who)

    known = send.with_options(job_id="known")
    new = send.with_options(job_id="new")
    await known.enqueue(who="before")
    server.kill()
    await away(app)
    first, second = await known.enqueue(who="meanwhile"), await new.enqueue(who="new")
    again = await new.enqueue(who="again")
    await (await send.enqueue(who="plain")).result(timeout_s=30)
    assert ran == ["plain"], "only Redis knows whether a job has this id"
    assert (first.id, second.id) == ("known", "new")
    assert (second.duplicate, again.duplicate) == (False, True)
    assert (await second.info()).state is State.WAIT
    server.restart()
    await back(app)

    async with app.worker():
        await second.result(timeout_s=30)
        await first.result(timeout_s=30)
    assert sorted(ran) == ["before", "new", "plain"]


async def test_deduplication_is_settled_at_the_move(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    once = JobOptions(deduplication=Deduplication("welcome"))
    holder = await queue.add("send", {"n": 1}, once)
    server.kill()
    await away(app)
    other = await queue.add("send", {"n": 2}, once)
    server.restart()
    await back(app)

    assert ids_in_line(server, "mail") == [holder.id]
    assert (await other.info()).id == holder.id, "the handle leads to the job that holds the id"


async def test_flow_is_refused_with_a_sentence(app: App, server: RedisServer) -> None:
    await app.queue("mail").add("send", {})
    server.kill()
    await away(app)

    with pytest.raises(StoreUnreachableError, match="a flow's jobs have to be in one store"):
        await app.flows.add(Node("mail", "send", {}, children=[Node("mail", "send", {})]))


async def test_flow_of_a_local_attempt_is_refused_and_tried_again(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()

    @app.task(queue="mail")
    async def ask(ctx: Context) -> None:
        await ctx.add_children([Node("mail", "other", {})])

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    job = await ask.enqueue()

    async def refused() -> bool:
        return "Redis is away" in str((await job.info()).failed_reason)

    await wait_until(refused, deadline_s=30)


@pytest.mark.parametrize(
    ("why", "call"),
    [
        ("Redis keeps them", lambda app: app.queue("mail").pause()),
        ("change jobs in Redis", lambda app: app.queue("mail").retry_all()),
        ("kept in Redis", lambda app: app.schedules.get("nightly", queue="mail")),
        ("settled in Redis", lambda app: app.queue("mail").release_deduplication("x")),
    ],
)
async def test_what_all_workers_share_is_refused_at_once(
    app: App, server: RedisServer, why: str, call: Callable[[App], object]
) -> None:
    await app.queue("mail").add("send", {})
    server.kill()
    await away(app)

    begun_s = time.monotonic()
    with pytest.raises(StoreUnreachableError, match=why):
        await call(app)  # type: ignore[misc]
    assert time.monotonic() - begun_s < 5.0, "not after Redis' own time-out"


async def test_job_in_redis_cannot_be_asked_meanwhile(app: App, server: RedisServer) -> None:
    job = await app.queue("mail").add("send", {})
    server.kill()
    await away(app)

    with pytest.raises(StoreUnreachableError, match=f"job {job.id} of queue 'mail' is not in"):
        await job.info()
    with pytest.raises(StoreUnreachableError, match="is not in the spool"):
        await job.remove()


async def test_counts_and_lists_are_those_of_the_spool(app: App, server: RedisServer) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.kill()
    await away(app)
    jobs = [await queue.add("send", {}) for _ in range(3)]
    await queue.add("send", {}, JobOptions(job_id="own"))

    info = await queue.info()
    assert info is not None
    assert info.waiting == 3
    assert [one.name for one in await app.queues()] == ["mail"]
    assert [one.id for one in (await queue.jobs(State.WAIT)).jobs] == [job.id for job in jobs]
    await jobs[0].remove()
    info = await queue.info()
    assert info is not None
    assert info.waiting == 2


async def test_result_is_not_known_on_another_machine_before_the_move(
    app: App, server: RedisServer
) -> None:
    queue = app.queue("mail")
    await queue.add("send", {})
    server.pause()
    await away(app)
    job = await queue.add("send", {})
    server.resume()
    async with App(server.url) as elsewhere:
        there = elsewhere.queue("mail").job(job.id)
        await back(app)
        assert (await there.info()).state is State.WAIT


async def test_local_worker_goes_on_with_retries_after_the_move(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """A job that has failed here takes its attempts along."""
    app = make_app()
    attempts: list[int] = []

    @app.task(queue="mail")
    async def flaky(ctx: Context) -> str:
        attempts.append(ctx.attempt)
        if ctx.attempt == 1:
            raise ValueError("not yet")
        return "done"

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    job = await flaky.with_options(max_attempts=3, backoff_s=600.0).enqueue()

    async def waits() -> bool:
        return (await job.info()).state is State.DELAYED

    await wait_until(waits, deadline_s=30)
    server.restart()
    await back(app)
    info = await job.info()
    assert (info.state, info.attempts_made) == (State.DELAYED, 1)
    await job.promote()
    async with app.worker():
        assert await job.result(timeout_s=30) == "done"
    assert attempts == [1, 2]


async def test_job_that_runs_locally_ends_locally(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    app = make_app()
    runs: list[str] = []
    go_on = asyncio.Event()

    @app.task(queue="mail")
    async def long() -> str:
        runs.append("begun")
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        return "ended"

    await app.queue("other").add("x", {})
    async with app.worker(queues=["mail"]):
        server.kill()
        await away(app)
        job = await long.enqueue()
        await wait_until(lambda: runs, deadline_s=30)
        server.restart()

        async def live() -> bool:
            return (await app.store_state()).live == "redis"

        await wait_until(live, deadline_s=40)
        assert (await job.info()).state is State.ACTIVE
        go_on.set()
        assert await job.result(timeout_s=30) == "ended"
        await back(app)
        assert await job.result(timeout_s=30) == "ended", "it is in Redis by now"
    assert runs == ["begun"]


async def test_follow_up_of_a_local_attempt_gets_no_number(
    make_app: Callable[..., App], server: RedisServer
) -> None:
    """Redis numbers its own jobs: a number of the spool would be another job's there."""
    app = make_app()

    @app.task(queue="mail")
    async def first(ctx: Context) -> None:
        ctx.enqueue(last.with_options(delay=timedelta(hours=1)))

    @app.task(queue="mail")
    async def last() -> None: ...

    await app.queue("other").add("x", {})
    server.kill()
    await away(app)
    await (await first.enqueue()).result(timeout_s=30)
    page = await app.queue("mail").jobs(State.DELAYED)
    assert [one.id.startswith("f-") for one in page.jobs] == [True]
    server.restart()
    await back(app)
    assert server.command("ZRANGE", "bull:mail:delayed", 0, -1) == [page.jobs[0].id]


async def test_unknown_spool_id_is_not_found(app: App, server: RedisServer) -> None:
    await app.queue("mail").add("send", {})
    job = app.queue("mail").job("f-nobody")
    with pytest.raises(JobNotFoundError):
        await job.info()
    server.kill()
    await away(app)
    with pytest.raises(JobNotFoundError):
        await job.info()
    with pytest.raises(JobNotFoundError):
        await job.remove()
