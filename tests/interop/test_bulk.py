"""What an operator does on one side to many jobs of the other: clean, drain, retry, obliterate."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.interop.watching import until, until_completed, until_in
from tests.support.node import Node

from toril import App, JobOptions, QueueInfo, RetryPolicy, State

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def looked_at(app: App) -> QueueInfo:
    """Return the queue's figures; it has to be there."""
    info = await app.queue("paint").info()
    assert info is not None
    return info


def register(app: App) -> list[int]:
    """Register a task that fails for numbers below zero; return the list of what it is given."""
    ran: list[int] = []

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars(n: int) -> int:
        ran.append(n)
        if n < 0:
            raise ValueError("no paint")
        return n

    return ran


async def add_lines(app: App) -> None:
    """Add three jobs that wait, three with a priority and three for later."""
    queue = app.queue("paint")
    for options in (JobOptions(), JobOptions(priority=4), JobOptions(delay_s=600)):
        await queue.add_many([("cars", {"n": n}) for n in range(3)], options)


async def test_node_cleans_and_drains_lines_of_toril(app: App, node: Node) -> None:
    ran = register(app)
    await add_lines(app)

    assert len(await node.clean("paint", "wait", limit=2)) == 2
    assert len(await node.clean("paint", "prioritized", limit=1)) == 1
    assert len(await node.clean("paint", "delayed")) == 3
    info = await looked_at(app)
    assert (info.waiting, info.prioritized, info.delayed) == (1, 2, 0)

    await add_lines(app)
    await node.drain("paint")
    info = await looked_at(app)
    assert (info.waiting, info.prioritized, info.delayed) == (0, 0, 3)
    await node.drain("paint", delayed=True)
    assert (await looked_at(app)).delayed == 0

    async with app.worker(queues=["paint"]):
        job = await app.queue("paint").add("cars", {"n": 7})
        await until_in(app, job.id, State.COMPLETED)
    assert ran == [7]


async def test_toril_cleans_and_drains_lines_of_node(app: App, node: Node) -> None:
    queue = app.queue("paint")
    events = await node.queue_events("paint")

    async def add_theirs() -> None:
        for options in ({}, {"priority": 4}, {"delay": 600_000}):
            await node.add_bulk("paint", [("cars", {}, {**options}) for _ in range(3)])

    await add_theirs()
    assert len(await queue.clean(State.WAIT, limit=2)) == 2
    assert len(await queue.clean(State.PRIORITIZED, limit=1)) == 1
    assert len(await queue.clean(State.DELAYED)) == 3
    assert await node.counts("paint", "waiting", "prioritized", "delayed") == {
        "waiting": 1,
        "prioritized": 2,
        "delayed": 0,
    }
    await events.wait_for("cleaned", many=3)

    await add_theirs()
    assert await queue.drain() == 9
    assert (await node.counts("paint", "delayed"))["delayed"] == 3
    assert await queue.drain(delayed=True) == 3
    worker = await node.worker("paint", {"echo": True})
    await node.add("paint", "cars", {"n": 7})
    assert [job["data"] for job in await worker.wait_for("completed")] == [{"n": 7}]


async def test_node_cleans_what_toril_has_finished(app: App, node: Node) -> None:
    register(app)
    async with app.worker(queues=["paint"]):
        ids = [
            job.id
            for job in await app.queue("paint").add_many(
                [("cars", {"n": n}) for n in (1, 2, 3, -1, -2)]
            )
        ]
        await until_completed(app, "paint", 3)
        await until_in(app, ids[4], State.FAILED)

        assert await node.clean("paint", "completed", grace_ms=600_000) == []

        await until_next_millisecond()
        assert sorted(await node.clean("paint", "completed")) == sorted(ids[:3])
        assert await node.clean("paint", "failed", limit=1) == [ids[3]]

    assert [await node.job("paint", one) for one in ids[:4]] == [None] * 4
    assert (await app.queue("paint").job(ids[4]).info()).failed_reason == "ValueError: no paint"


async def test_node_retries_and_promotes_all_of_torils(app: App, node: Node) -> None:
    """With priorities, which BullMQ forgets when it moves many."""
    ran = register(app)
    queue = app.queue("paint")
    async with app.worker(queues=["paint"]):
        for priority in (0, 5):
            await queue.add_many(
                [("cars", {"n": -n}) for n in (1, 2)], JobOptions(priority=priority)
            )
        await until(lambda: failed(app, 4), "all to fail")
        await until_next_millisecond()
        await node.call("paint", "retryJobs", {"state": "failed"})
        await until(lambda: len(ran) == 8, "all to run again")
        await until(lambda: failed(app, 4), "all to fail again")

        for priority in (0, 5):
            later = JobOptions(priority=priority, delay_s=600)
            await queue.add_many([("cars", {"n": n}) for n in (1, 2)], later)
        assert await node.counts("paint", "delayed") == {"delayed": 4}
        await node.call("paint", "promoteJobs")
        await until_completed(app, "paint", 4)
        await until_next_millisecond()
        await node.call("paint", "retryJobs", {"state": "completed"})
        await until(lambda: len(ran) == 16, "the completed ones to run again")

    assert sorted(ran) == sorted([-1, -2] * 4 + [1, 2] * 4)


async def until_next_millisecond() -> None:
    """Wait until what has ended did so before now: Node looks for what has ended by now, and what
    ends second in a millisecond has a score that is a fraction later."""
    now_ms = time.time_ns() // 1_000_000
    await until(lambda: time.time_ns() // 1_000_000 > now_ms, "time to pass")


async def failed(app: App, many: int) -> bool:
    """Whether so many jobs have failed, and no other is there."""
    info = await looked_at(app)
    return (info.failed, info.active + info.waiting + info.prioritized) == (many, 0)


async def test_toril_retries_and_promotes_all_of_nodes(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"throws": "once", "failures": 1, "echo": True})
    await node.add_bulk("paint", [("cars", {"n": n}, {"priority": n % 2}) for n in range(4)])
    await worker.wait_for("failed", many=4)
    await until(lambda: failed(app, 4), "all to fail")
    assert await queue.retry_all(reset_attempts=False) == 4
    await worker.wait_for("completed", many=4)

    await node.add_bulk("paint", [("cars", {"n": n}, {"delay": 600_000}) for n in range(4)])
    assert await queue.promote_all() == 4
    await worker.wait_for("failed", many=8)
    await until(lambda: failed(app, 4), "all of these to fail")
    await until_completed(app, "paint", 4)
    assert await queue.retry_all(State.COMPLETED, reset_attempts=False) == 4
    await worker.wait_for("completed", many=8)


async def test_queue_that_node_obliterates_is_used_anew(app: App, node: Node) -> None:
    """A worker of ours that serves it goes on, with jobs that are numbered from 1 again."""
    ran = register(app)
    queue = app.queue("paint")
    async with app.worker(queues=["paint"]):
        for n in (1, -1):
            job = await queue.add("cars", {"n": n})
            await until_in(app, job.id, State.COMPLETED if n > 0 else State.FAILED)
        await node.pause("paint")
        await add_lines(app)

        await node.obliterate("paint")
        assert await queue.info() is None
        assert await node.call("paint", "count") == 0

        again = await queue.add("cars", {"n": 5})
        assert again.id == "1"
        await until_in(app, again.id, State.COMPLETED)
    assert ran == [1, -1, 5]


async def test_queue_that_toril_obliterates_is_used_anew(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"echo": True}, drainDelay=1)
    await node.add("paint", "cars", {"n": 1})
    await worker.wait_for("completed")
    await queue.pause()
    await node.add_bulk("paint", [("cars", {"n": n}, {"priority": n}) for n in range(3)])

    assert await queue.obliterate() == 4
    assert set((await node.counts("paint")).values()) == {0}
    assert not await node.is_paused("paint")

    again = await node.add("paint", "cars", {"n": 5})
    done = await worker.wait_for("completed", many=2)
    assert (done[1]["id"], done[1]["data"]) == (again, {"n": 5})


async def test_queue_is_obliterated_by_force_under_its_worker(app: App, node: Node) -> None:
    """What ran there ends without a trace, and the worker goes on with new jobs."""
    go_on, ended = asyncio.Event(), asyncio.Event()

    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> int:
        await go_on.wait()
        ended.set()
        return n

    queue = app.queue("paint")
    async with app.worker(queues=["paint"]):
        await until_in(app, (await queue.add("cars", {"n": 1})).id, State.ACTIVE)
        await node.obliterate("paint", force=True)
        go_on.set()
        await ended.wait()
        again = await node.add("paint", "cars", {"n": 2})
        assert (await until_in(app, again, State.COMPLETED)).result == 2
    assert (await looked_at(app)).completed == 1

    worker = await node.worker("ships", {"waits": True, "echo": True}, drainDelay=1)
    await app.queue("ships").add("hull", {"n": 1})
    await worker.wait_for("active")
    await app.queue("ships").pause()
    assert await app.queue("ships").obliterate(force=True) == 1
    await node.release()
    await worker.wait_for("error")
    await app.queue("ships").add("hull", {"n": 2})
    await worker.wait_for("active", many=2)
    await node.release()
    assert [job["data"] for job in await worker.wait_for("completed")] == [{"n": 2}]
