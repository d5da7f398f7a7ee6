"""What an operator does on one side to jobs of the other, one job at a time."""

from __future__ import annotations

import asyncio

import pytest
from tests.interop.watching import PATIENCE_S, until, until_in
from tests.support.bullmq import BullMQError
from tests.support.node import Node

from toril import App, JobFailedError, JobOptions, RetryPolicy, State, WrongStateError

pytestmark = pytest.mark.timeout(600)  # the first one installs

LATER = JobOptions(delay_s=600)


async def test_node_operates_what_toril_works(app: App, node: Node) -> None:
    ran: list[int] = []

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars(n: int) -> int:
        ran.append(n)
        if n == 1 and ran.count(1) == 1:
            raise ValueError("first time")
        return n

    async with app.worker(queues=["paint"]):
        failing = await node.add("paint", "cars", {"n": 1})
        await until_in(app, failing, State.FAILED)
        await node.retry("paint", failing)
        await until_in(app, failing, State.COMPLETED)

        later = await node.add("paint", "cars", {"n": 2}, delay=600_000)
        await node.promote("paint", later)
        await until_in(app, later, State.COMPLETED)

        await node.pause("paint")
        held = await node.add("paint", "cars", {"n": 3})
        gone = await node.add("paint", "cars", {"n": 4})
        assert await node.remove("paint", gone) == 1
        assert ran == [1, 1, 2]
        await node.resume("paint")
        await until_in(app, held, State.COMPLETED)
    assert ran == [1, 1, 2, 3]


async def test_toril_operates_what_node_works(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"throws": "once", "failures": 1, "returns": 1})
    job = await queue.add("cars", {}, JobOptions(max_attempts=1))
    await worker.wait_for("failed")
    await job.retry(reset_attempts=False)
    await worker.wait_for("completed")

    later = await queue.add("cars", {}, LATER)
    await later.promote()
    assert await node.counts("paint", "delayed") == {"delayed": 0}
    await worker.wait_for("failed", many=2)

    await queue.pause()
    assert await node.is_paused("paint")
    gone = await node.add("paint", "cars")
    held = await node.add("paint", "cars")
    assert (await node.counts("paint", "waiting"))["waiting"] == 2
    assert await queue.job(gone).remove()
    assert await node.job("paint", gone) is None
    await queue.resume()
    await worker.wait_for("failed", many=3)
    assert worker.named("failed")[2]["id"] == held


async def test_node_changes_jobs_of_toril(app: App, node: Node) -> None:
    order: list[str] = []

    @app.task(queue="paint", name="cars")
    async def cars(who: str) -> None:
        order.append(who)

    queue = app.queue("paint")
    first, second, third = [
        job.id for job in await queue.add_many([("cars", {"who": who}) for who in "abc"])
    ]
    later = (await queue.add("cars", {"who": "d"}, LATER)).id

    await node.update_data("paint", first, {"who": "new"})
    await node.change_priority("paint", first, 7)
    await node.change_priority("paint", second, 3)
    await node.change_delay("paint", later, 900_000)
    assert await node.call_job("paint", third, "log", "seen by Node") == 1
    await queue.job(third).add_log("seen by us")

    info = await queue.job(first).info()
    assert (info.data, info.priority, info.state) == ({"who": "new"}, 7, State.PRIORITIZED)
    info = await queue.job(later).info()
    assert info.run_at is not None
    assert (info.run_at - info.created_at).total_seconds() == pytest.approx(900, abs=30)
    assert await queue.job(third).logs() == await node.logs("paint", third)
    assert await queue.job(third).logs() == ["seen by Node", "seen by us"]
    await node.change_delay("paint", later, 50)
    async with app.worker(queues=["paint"], concurrency=1):
        for job_id in (first, second, third, later):
            await until_in(app, job_id, State.COMPLETED)
    assert [who for who in order if who != "d"] == ["c", "b", "new"]


async def test_toril_changes_jobs_of_node(app: App, node: Node) -> None:
    queue = app.queue("paint")
    first, second, third, fourth = await node.add_bulk(
        "paint", [("cars", {"who": who}, {}) for who in "abcd"]
    )
    later = await node.add("paint", "cars", {"who": "e"}, delay=600_000)

    await queue.job(first).update_data({"who": "new"})
    await queue.job(first).change_priority(7)
    await queue.job(second).change_priority(3)
    await queue.job(third).change_priority(3, lifo=True)
    await queue.job(later).change_delay(900)
    await queue.job(fourth).add_log("seen by us")

    job = await node.job("paint", first)
    assert (job["data"], job["priority"]) == ({"who": "new"}, 7)
    assert (await node.job("paint", later))["delay"] == 900_000
    assert await node.logs("paint", fourth) == ["seen by us"]
    assert await node.call("paint", "getCountsPerPriority", [0, 3, 7]) == {"0": 1, "3": 2, "7": 1}
    await queue.job(later).change_delay(0.05)
    worker = await node.worker("paint", {"echo": True})
    done = await worker.wait_for("completed", many=5)
    order = [job["data"]["who"] for job in done if job["data"]["who"] != "e"]
    assert order == ["d", "c", "b", "new"]


async def test_toril_cancels_what_waits_for_node(app: App, node: Node) -> None:
    queue = app.queue("paint")
    events = await node.queue_events("paint")
    ids = [
        await node.add("paint", "cars"),
        await node.add("paint", "cars", priority=5),
        await node.add("paint", "cars", delay=600_000),
    ]

    for job_id in ids:
        await queue.job(job_id).cancel("no longer wanted")

    for job_id in ids:
        with pytest.raises(BullMQError, match="no longer wanted"):
            await node.result("paint", job_id, events)
        assert await node.state("paint", job_id) == "failed"
    assert [event["jobId"] for event in await events.wait_for("failed", many=3)] == ids
    worker = await node.worker("paint", {"echo": True})
    last = await node.add("paint", "cars")
    assert (await worker.wait_for("completed"))[0]["id"] == last
    await node.retry("paint", ids[0])
    await worker.wait_for("completed", many=2)


async def test_toril_cancels_what_node_runs(app: App, node: Node) -> None:
    """A Node worker is not told. It does not try the job again, whatever attempts are left."""
    worker = await node.worker("paint", {"waits": True, "throws": "no brush"})
    job = await app.queue("paint").add("cars", {}, JobOptions(max_attempts=5))
    await worker.wait_for("active")

    await job.cancel("no longer wanted")
    assert await job.state() is State.ACTIVE
    await node.release()

    with pytest.raises(JobFailedError, match="no longer wanted"):
        await job.result(timeout_s=PATIENCE_S)
    assert [one["failedReason"] for one in await worker.wait_for("failed", many=2)] == [
        "no brush",
        "no longer wanted",
    ]
    assert await node.release() == 0


async def test_what_one_holds_the_other_leaves_alone(app: App, node: Node) -> None:
    go_on = asyncio.Event()

    @app.task(queue="paint", name="cars")
    async def cars() -> str:
        await go_on.wait()
        return "done"

    async with app.worker(queues=["paint"]):
        ours = await node.add("paint", "cars", attempts=3)
        await until_in(app, ours, State.ACTIVE)

        assert await node.remove("paint", ours) == 0
        with pytest.raises(BullMQError, match="could not be removed"):
            await node.call_job("paint", ours, "remove")
        for finish, value in (("moveToCompleted", "x"), ("moveToFailed", {"message": "x"})):
            with pytest.raises(BullMQError, match="Lock mismatch") as refused:
                await node.call_job("paint", ours, finish, value, "another token", False)
            assert refused.value.code == -6
        for verb in ("retry", "promote"):
            with pytest.raises(BullMQError, match="not in the"):
                await node.call_job("paint", ours, verb)
        assert await node.clean("paint", "active") == []
        go_on.set()
        info = await until_in(app, ours, State.COMPLETED)
        assert (info.result, info.attempts_made) == ("done", 1)

    worker = await node.worker("paint", {"waits": True, "returns": "done"})
    theirs = await app.queue("paint").add("cars")
    await worker.wait_for("active")
    for refused_verb in (
        theirs.remove(),
        theirs.retry(),
        theirs.promote(),
        theirs.change_delay(1),
        theirs.update_data({}),
    ):
        with pytest.raises(WrongStateError):
            await refused_verb
    await node.release()
    assert await theirs.result(timeout_s=PATIENCE_S) == "done"


async def test_job_is_failed_by_hand_in_node(app: App, node: Node) -> None:
    options = JobOptions(max_attempts=2, backoff="fixed", backoff_s=0.0)
    job = await app.queue("paint").add("cars", {}, options)

    for attempt in (1, 2):
        assert (await node.take("paint", f"hand-{attempt}"))["id"] == job.id
        await node.fail(job.id, f"hand-{attempt}", f"dropped {attempt}")

    info = await job.info()
    assert (info.state, info.failed_reason, info.attempts_made) == (State.FAILED, "dropped 2", 2)


async def test_node_lists_a_worker_of_several_queues_for_those_that_it_uses(
    app: App, node: Node
) -> None:
    """A connection shows its worker for one queue, and one for each was too many."""

    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    async with app.worker(queues=["glue", "paint", "sand"]) as worker:
        assert await node.counts("paint", "waiting") == {"waiting": 0}  # from now on it is known

        async def is_listed() -> bool:
            found = await node.workers("paint")
            return [one["rawname"].rpartition(":w:")[2] for one in found] == [worker.id]

        await until(is_listed, "Node to know of the worker")
        assert [one["name"] for one in await node.workers("glue")] == ["glue"]
