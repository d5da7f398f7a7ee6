"""One queue, Node and Toril: each adds, works and watches what the other does."""

from __future__ import annotations

import collections

import pytest
from tests.interop.watching import (
    PATIENCE_S,
    check_each_done_once,
    until,
    until_completed,
    until_in,
)
from tests.support.bullmq import BullMQError
from tests.support.node import Node
from tests.support.redis_servers import SOFTWARE, Software

from toril import App, Context, JobOptions, RateLimit, RetryPolicy, State

pytestmark = pytest.mark.timeout(600)  # the first one installs


@pytest.fixture(params=SOFTWARE)
def software(request: pytest.FixtureRequest) -> Software:
    """BullMQ takes a Valkey for the Redis that it says it is compatible with."""
    said: Software = request.param
    return said


async def test_node_adds_and_toril_works(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(ctx: Context, colour: str) -> dict[str, str]:
        ctx.log(f"painting it {colour}")
        ctx.progress({"done": 50})
        return {"painted": colour}

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars", {"colour": "blue"})

        assert await node.result("paint", job_id, events) == {"painted": "blue"}

    assert await node.logs("paint", job_id) == ["painting it blue"]
    job = await node.job("paint", job_id)
    assert (job["attemptsMade"], job["progress"], job["returnvalue"]) == (
        1,
        {"done": 50},
        {"painted": "blue"},
    )
    await events.wait_for("progress")
    assert [name for name in events.names if name not in ("drained", "progress")] == [
        "added",
        "waiting",
        "active",
        "completed",
    ]


async def test_job_of_node_that_no_task_of_ours_is_for_waits_until_node_takes_it(
    app: App, node: Node
) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "trucks", {"colour": "blue"})
        info = await until_in(app, job_id, State.DELAYED)
        assert info.unknown_since is not None

        seen = await node.job("paint", job_id)
        assert (seen["attemptsMade"], seen["attemptsStarted"]) == (0, 1)
        assert seen["delay"] > 0
        assert not seen.get("failedReason")
    worker = await node.worker("paint", {"returns": {"painted": "blue"}})
    assert await node.result("paint", job_id, events) == {"painted": "blue"}
    await worker.close()
    info = await app.queue("paint").job(job_id).info()
    assert (info.state, info.unknown_since) == (State.COMPLETED, None)


async def test_toril_adds_and_node_works(app: App, node: Node) -> None:
    await node.worker("paint", {"echo": True, "logs": ["from Node"], "progress": [10]})

    job = await app.queue("paint").add("cars", {"colour": "grün", "n": 2**40})

    assert await job.result(timeout_s=PATIENCE_S) == {"colour": "grün", "n": 2**40}
    info = await job.info()
    assert (info.state, info.attempts_made) == (State.COMPLETED, 1)
    assert info.progress == 10


async def test_failures_of_toril_are_seen_by_node(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=2, base_s=0.01))
    async def cars() -> None:
        raise ValueError("no paint")

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars", {}, attempts=2, backoff=10)
        with pytest.raises(BullMQError, match="no paint"):
            await node.result("paint", job_id, events)

    job = await node.job("paint", job_id)
    assert job["attemptsMade"] == 2
    assert len(job["stacktrace"]) == 2
    assert "ValueError: no paint" in job["stacktrace"][0]
    await events.wait_for("retries-exhausted")


async def test_failures_of_node_are_seen_by_toril(app: App, node: Node) -> None:
    await node.worker("paint", {"throws": "no brush"})

    job = await app.queue("paint").add("cars", {})

    assert (await until_in(app, job.id, State.FAILED)).failed_reason == "no brush"


async def test_each_attempt_has_its_own_trace_when_both_failed_the_job(
    app: App, node: Node
) -> None:
    """Node's trace stood with Toril's attempt."""

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def cars() -> None:
        raise ValueError("no paint")

    job_id = await node.add("paint", "cars", {}, attempts=3, backoff=10)

    async def failed(many: int) -> bool:
        return (await app.queue("paint").job(job_id).info()).attempts_made == many

    await app.queue("paint").set_rate(RateLimit(limit=1, window_s=3600))
    async with app.worker(queues=["paint"]):
        await until(lambda: failed(1), "the first attempt to fail")
    await app.queue("paint").set_rate(None)
    worker = await node.worker("paint", {"throws": "no brush"})
    info = await until_in(app, job_id, State.FAILED)
    await worker.close()

    assert info.attempts_made == 3
    ours, theirs = info.attempts
    assert (ours.number, ours.error, theirs.number, theirs.error) == (
        1,
        "ValueError: no paint",
        3,
        "no brush",
    )
    assert ours.traceback is not None
    assert ours.traceback.endswith("ValueError: no paint\n")
    assert theirs.traceback is not None
    assert theirs.traceback.startswith("Error: no brush\n")


async def test_both_work_one_queue_and_each_job_is_done_once(app: App, node: Node) -> None:
    """With priorities, delays and retries, added by both."""
    many = 5_000
    done: collections.Counter[str] = collections.Counter()

    @app.task(queue="shared", name="work", retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def work(ctx: Context, n: int) -> int:
        if n % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once more")
        done[ctx.job_id] += 1
        return n

    queue = app.queue("shared")
    ids: list[str] = []
    for first in range(0, many // 2, 500):
        rows = [("work", {"n": n}, node_options(n)) for n in range(first, first + 500)]
        ids += await node.add_bulk("shared", rows)
    behaviour = {"throws": "once more", "failures": 1, "every": 10, "echo": True}
    worker = await node.worker("shared", behaviour, concurrency=20)
    await worker.wait_for("completed", many=many // 10)
    async with app.worker(queues=["shared"], concurrency=20):
        for n in range(many // 2, many):
            ids.append((await queue.add("work", {"n": n}, toril_options(n))).id)
        await until_completed(app, "shared", many)

        await check_each_done_once(ids, done, worker)
    again = [await queue.job(one).info() for one in ids[::10]]
    assert {info.attempts_made for info in again} == {2}
    info = await queue.info()
    assert info is not None
    assert (info.completed, info.failed, info.active, info.waiting) == (many, 0, 0, 0)


def node_options(n: int) -> dict[str, object]:
    """Return what the producer on Node says of a job."""
    delay = {"delay": n % 50} if n % 7 == 0 else {}
    return {"attempts": 3, "backoff": 10, "priority": n % 3, **delay}


def toril_options(n: int) -> JobOptions:
    """Return what ours says."""
    delay_s = n % 50 / 1000 if n % 7 == 0 else 0.0
    return JobOptions(
        priority=n % 3, max_attempts=3, backoff="fixed", backoff_s=0.01, delay_s=delay_s
    )


async def test_children_of_nodes_flows_are_worked_by_toril(app: App, node: Node) -> None:
    @app.task(queue="kids", name="hull", retry=RetryPolicy(max_attempts=1))
    async def hull(n: int) -> int:
        if n < 0:
            raise ValueError("no wood")
        return n

    def tree(*numbers: int) -> dict[str, object]:
        kids = [
            {"name": "hull", "queueName": "kids", "data": {"n": n}, "opts": opts}
            for n, opts in ((n, {"failParentOnFailure": True}) for n in numbers)
        ]
        return {"name": "ship", "queueName": "parents", "children": kids}

    parents = await node.worker("parents", {"childrenValues": True})
    good = await node.add_flow(tree(1, 2))
    bad = await node.add_flow(tree(-1, 3))
    async with app.worker(queues=["kids"]):
        (finished,) = await parents.wait_for("completed")
        (failed,) = await parents.wait_for("failed")

    assert finished["id"] == good["job"]["id"]
    assert sorted(finished["returnvalue"].values()) == [1, 2]
    assert failed["id"] == bad["job"]["id"]
    assert failed["failedReason"].startswith("child ")


async def test_deduplication_of_node_ends_with_the_job(app: App, node: Node) -> None:
    ran: list[int] = []

    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> None:
        ran.append(n)

    once = {"deduplication": {"id": "one-at-a-time"}}
    first = await node.add("paint", "cars", {"n": 1}, **once)
    assert await node.add("paint", "cars", {"n": 2}, **once) == first
    async with app.worker(queues=["paint"]):
        await until_in(app, first, State.COMPLETED)
        second = await node.add("paint", "cars", {"n": 3}, **once)
        await until_in(app, second, State.COMPLETED)

    assert second != first
    assert ran == [1, 3]
