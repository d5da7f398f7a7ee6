"""One queue, BullMQ 5 on Node and Toril: what differs from version 6."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.support import Terminal
from tests.interop.samples import samples
from tests.interop.watching import (
    PATIENCE_S,
    check_each_done_once,
    until,
    until_completed,
    until_in,
)
from tests.support.node import Node
from tests.support.redis_server import RedisServer
from tests.support.relatives import BullMQ5

from toril import App, Context, InvalidOptionError, JobOptions, RetryPolicy, State, WholePayload
from toril.engine.contract.lifecycle import Finding

pytestmark = pytest.mark.timeout(600)  # the first one installs

Q = "main"
FAMILIES = [
    "email-sending", "file-processing", "payment-retry", "referral-commission", "dead-letter",
    "example", "push-notifications", "main", "app-queue",
]  # fmt: skip


@pytest.fixture
async def node5(redis_url: str) -> AsyncIterator[BullMQ5]:
    """A Node process with BullMQ 5, on the same empty store as `redis_url`."""
    async with await BullMQ5.start(redis_url) as node5:
        yield node5


async def test_version_is_the_one_that_is_meant(node5: BullMQ5) -> None:
    assert (await node5.version()).startswith("5.58.")


@pytest.mark.parametrize("queue", FAMILIES)
async def test_jobs_as_programs_add_them_reach_a_task_whole(
    app: App, node5: BullMQ5, queue: str
) -> None:
    """Names with `:`, ids with `:`, `priority: 0`, Buffers and repeats' names among them."""
    got: dict[str, Any] = {}
    wanted: dict[str, Any] = {}
    jobs = [one for one in samples(queue) if "repeat" not in one["options"]]

    for name in {one["name"] for one in jobs}:

        @app.task(queue=queue, name=name)
        async def work(ctx: Context, data: WholePayload[Any]) -> None:
            got[ctx.job_id] = (ctx.task, data)

    for one in jobs:
        options = {**one["options"], "delay": 0}
        job_id = await node5.add(queue, one["name"], one["data"], **options)
        wanted[job_id] = (one["name"], one["data"])
    async with app.worker(queues=[queue]):
        await until_completed(app, queue, len(wanted))

    assert got == wanted


async def test_both_work_one_queue_and_each_job_is_done_once(app: App, node5: BullMQ5) -> None:
    many = 2_000
    done: collections.Counter[str] = collections.Counter()

    @app.task(queue=Q, name="work", retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def work(ctx: Context, n: int) -> int:
        if n % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once more")
        done[ctx.job_id] += 1
        return n

    def options(n: int) -> dict[str, Any]:
        return {"attempts": 3, "backoff": 10, "priority": n % 3, "delay": n % 2 * 20}

    ids: list[str] = []
    for first in range(0, many // 2, 500):
        rows = [("work", {"n": n}, options(n)) for n in range(first, first + 500)]
        ids += await node5.add_bulk(Q, rows)
    behaviour = {"throws": "once more", "failures": 1, "every": 10, "echo": True}
    theirs = await node5.worker(Q, behaviour, concurrency=10)
    await theirs.wait_for("completed", many=many // 10, deadline_s=60)
    ours = JobOptions(max_attempts=3, backoff="fixed", backoff_s=0.01)
    async with app.worker(queues=[Q], concurrency=10):
        for n in range(many // 2, many):
            ids.append((await app.queue(Q).add("work", {"n": n}, ours)).id)
        await until_completed(app, Q, many)
        await check_each_done_once(ids, done, theirs)


async def test_pause_of_version_5_holds_ours_and_loses_nothing(
    app: App, node5: BullMQ5, redis_server: RedisServer, redis_prefix: str
) -> None:
    """Its resume renames `paused` to `wait`, over whatever lies there."""
    ran: list[int] = []

    @app.task(queue=Q, name="work")
    async def work(n: int) -> None:
        ran.append(n)

    late = await app.queue(Q).add("work", {"n": 0}, JobOptions(delay_s=0.2))
    async with app.worker(queues=[Q]):
        await node5.pause(Q)  # when no job is in line: no list tells that the jobs are set aside
        await app.queue(Q).add("work", {"n": 1})
        await node5.add(Q, "work", {"n": 2})
        await until(
            lambda: redis_server.command("ZCARD", f"{redis_prefix}:{Q}:delayed") == 0,
            f"job {late.id} to be due",
        )
        await app.queue(Q).add("work", {"n": 3})
        info = await app.queue(Q).info()
        assert info is not None
        assert (info.paused, info.waiting) == (True, 4)
        assert (await node5.counts(Q))["paused"] == 4
        assert ran == []
        await node5.resume(Q)
        await until_completed(app, Q, 4)

    assert sorted(ran) == [0, 1, 2, 3]


async def test_jobs_that_version_5_has_set_aside_can_be_managed(
    app: App, node5: BullMQ5, tmp_path: Path, redis_url: str
) -> None:
    ids = [await node5.add(Q, "email:send", {"n": n}) for n in range(4)]
    await node5.pause(Q)
    queue = app.queue(Q)

    listed, _ = await queue.jobs(State.WAIT)
    assert [job.id for job in listed] == ids
    assert await queue.job(ids[0]).remove()
    await queue.job(ids[1]).change_priority(5)
    await queue.job(ids[1]).change_priority(0)
    assert "email:send" in await said(tmp_path, "jobs", "list", Q, "--url", redis_url)
    assert await node5.counts(Q, "paused", "waiting", "prioritized") == {
        "paused": 3, "waiting": 0, "prioritized": 0,
    }  # fmt: skip
    await queue.resume()
    worker = await node5.worker(Q, {"echo": True})
    await worker.wait_for("completed", many=3)


async def test_names_and_ids_with_colons_are_taken_from_the_store(
    app: App, node5: BullMQ5, redis_url: str, tmp_path: Path
) -> None:
    """The door for new jobs of ours goes on to refuse such ids."""
    fail = True

    @app.task(queue=Q, name="dlq:email:send", retry=RetryPolicy(max_attempts=1))
    async def letter(ctx: Context, n: int) -> str:
        if fail:
            raise ValueError("not yet")
        return ctx.job_id

    ids = [f"dlq:{n}:1758400000000" for n in range(3)]
    for n, job_id in enumerate(ids):
        assert await node5.add(Q, "dlq:email:send", {"n": n}, jobId=job_id, attempts=1) == job_id
    listed = await said(tmp_path, "jobs", "list", Q, "--url", redis_url)
    assert all(job_id in listed for job_id in ids)
    assert ids[0] in await said(tmp_path, "jobs", "show", Q, ids[0], "--url", redis_url)

    async with app.worker(queues=[Q]):
        for job_id in ids:
            await until_in(app, job_id, State.FAILED, queue=Q)
        fail = False
        await app.queue(Q).job(ids[0]).retry()
        assert await app.queue(Q).job(ids[0]).result(timeout_s=PATIENCE_S) == ids[0]
    assert await app.queue(Q).job(ids[1]).remove()
    assert await node5.job(Q, ids[1]) is None

    with pytest.raises(InvalidOptionError, match="an id without ':'"):
        await app.queue(Q).add("dlq:email:send", {"n": 1}, JobOptions(job_id="dlq:1:2"))


async def said(folder: Path, *words: str) -> str:
    """Return what a command prints; it runs on an event loop of its own."""
    done = await asyncio.to_thread(Terminal(folder).here, *words)
    assert done.code == 0, done.err
    return done.out


async def test_they_move_to_another_store(app: App, node5: BullMQ5, tmp_path: Path) -> None:
    await node5.add(Q, "dlq:email:send", {"n": 1}, jobId="dlq:12:1758400000000")
    await app.queues(search=True)

    async with App(f"sqlite:///{tmp_path}/jobs.db") as target:
        await app.migrate_to(target)
        info = await target.queue(Q).job("dlq:12:1758400000000").info()

    assert (info.name, info.data) == ("dlq:email:send", {"n": 1})


async def test_buffers_are_bytes(app: App, node5: BullMQ5) -> None:
    @app.task(queue=Q, name="work")
    async def work(ctx: Context, content: bytes) -> list[Any]:
        return [content.decode(), ctx.data]

    job_id = await node5.add_buffer(Q, "work", "content", "hi")
    async with app.worker(queues=[Q]):
        info = await until_in(app, job_id, State.COMPLETED, queue=Q)

    assert info.result == ["hi", {"content": {"type": "Buffer", "data": [104, 105]}}]


async def test_priority_0_is_none(
    app: App, node5: BullMQ5, redis_server: RedisServer, redis_prefix: str
) -> None:
    first = await node5.add(Q, "work", {"n": 1}, priority=0)
    await app.queue(Q).add("work", {"n": 2}, JobOptions(priority=0))

    assert redis_server.command("LLEN", f"{redis_prefix}:{Q}:wait") == 2
    assert (await app.queue(Q).job(first).info()).priority == 0
    listed, _ = await app.queue(Q).jobs(State.WAIT)
    assert listed[0].id == first


async def test_a_limit_counts_only_the_workers_that_set_one(
    app: App, node5: BullMQ5, redis_server: RedisServer, redis_prefix: str
) -> None:
    """A worker of ours without one starts jobs although Node's has used its window up."""

    @app.task(queue=Q, name="work")
    async def work(n: int) -> None:
        pass

    limited = await node5.worker(Q, {"echo": True}, limiter={"max": 2, "duration": 3_600_000})
    for n in range(5):
        await node5.add(Q, "work", {"n": n})
    await limited.wait_for("completed", many=2)
    assert redis_server.command("GET", f"{redis_prefix}:{Q}:limiter") == "2"
    async with app.worker(queues=[Q]):
        await until_completed(app, Q, 5)

    assert redis_server.command("GET", f"{redis_prefix}:{Q}:limiter") == "2", "ours did not count"
    assert len(limited.named("completed")) == 2


async def test_doctor_names_the_versions_of_bullmq(app: App, node5: BullMQ5, node: Node) -> None:
    await app.queue(Q).add("work", {})
    assert f"company of {Q}" not in await findings(app), "only Toril"

    await node5.worker(Q, {"waits": True})
    await node5.add(Q, "work", {})
    found = (await findings(app))[f"company of {Q}"]
    assert found.text.startswith("used by BullMQ")
    await node5.add("five", "work", {})
    await node.add("six", "work", {})
    await app.queues(search=True)
    found = (await findings(app))["company of five"]
    assert found.text.startswith("used by BullMQ 5; BullMQ 5 sets jobs aside when it pauses")
    assert (await findings(app))["company of six"].text == "used by BullMQ 6"


async def test_doctor_compares_databases(
    app: App, redis_server: RedisServer, redis_prefix: str
) -> None:
    """Worked in database 1, added in database 0."""
    await app.queue(Q).add("work", {})
    async with await BullMQ5.start(f"{redis_server.url}/1?prefix={redis_prefix}") as elsewhere:
        await elsewhere.worker(Q, {"echo": True})

        found = (await findings(app))[f"address of {Q}"]

    assert found.grade == "warning"
    assert f"workers of a queue of this name are at database 1 under '{redis_prefix}'" in found.text


async def test_doctor_compares_prefixes(
    app: App, redis_server: RedisServer, redis_prefix: str
) -> None:
    """Added under one prefix, worked under another."""
    other = f"{redis_prefix}x"
    async with await BullMQ5.start(f"{redis_server.url}?prefix={other}") as elsewhere:
        await elsewhere.add(Q, "work", {})
    try:
        async with app.worker(queues=[Q]):
            found = (await findings(app))[f"address of {Q}"]
    finally:
        redis_server.remove_keys(other)

    assert found.grade == "warning"
    assert f"jobs of a queue of this name lie under '{other}' of this database" in found.text


async def findings(app: App) -> dict[str, Finding]:
    """Return what doctor finds, by its subject."""
    return {one.subject: one for one in (await app.check()).findings}
