"""Jobs that we claim by hand, change from within and report on from outside, as Node sees them."""

from __future__ import annotations

import pytest
from tests.interop.watching import PATIENCE_S, until_in
from tests.support.node import Node

from toril import App, Context, JobOptions, RetryPolicy, State

pytestmark = pytest.mark.timeout(600)  # the first one installs

AT_ONCE = RetryPolicy(max_attempts=2, base_s=0)


async def test_jobs_of_node_are_claimed_by_hand_and_node_learns_how_they_ended(
    app: App, node: Node
) -> None:
    told = await node.queue_events("paint")
    fine = await node.add("paint", "cars", {"n": 1})
    twice = await node.add("paint", "cars", {"n": 2}, attempts=2)
    async with app.claims("paint") as claims:
        job = await claims.claim(wait=PATIENCE_S)
        assert job is not None
        assert (job.id, job.data) == (fine, {"n": 1})
        assert await node.state("paint", fine) == "active"
        job.context.progress(30)
        assert await job.complete({"red": True}) == "completed"
        for kind in ("retried", "failed"):
            job = await claims.claim(wait=PATIENCE_S)
            assert job is not None
            assert job.id == twice
            assert await job.fail(ValueError("no paint")) == kind

    done, failed = await node.job("paint", fine), await node.job("paint", twice)
    assert (done["returnvalue"], done["progress"]) == ({"red": True}, 30)
    assert (failed["failedReason"], failed["attemptsMade"]) == ("ValueError: no paint", 2)
    assert len(failed["stacktrace"]) == 2
    assert await node.counts("paint", "active", "completed", "failed") == {
        "active": 0, "completed": 1, "failed": 1,
    }  # fmt: skip
    await told.wait_for("failed")
    assert told.named("completed")[0]["jobId"] == fine


async def test_a_flow_of_node_goes_on_when_its_children_are_completed_by_hand(
    app: App, node: Node
) -> None:
    await node.add_flow(
        {
            "name": "total",
            "queueName": "parents",
            "opts": {"jobId": "P"},
            "children": [{"name": "half", "queueName": "kids", "data": {"n": n}} for n in (2, 4)],
        }
    )
    async with app.claims("kids", "parents") as claims:
        for child in await claims.claim_many(2, wait=PATIENCE_S):
            await child.complete(child.data["n"] // 2)
        parent = await claims.claim(wait=PATIENCE_S)
        assert parent is not None
        assert parent.id == "P"
        results = await parent.context.children_results()
        assert sorted(results.values()) == [1, 2]
        await parent.complete(sum(results.values()))
    assert (await node.job("parents", "P"))["returnvalue"] == 3


async def test_node_sees_data_from_within_and_progress_from_outside(app: App, node: Node) -> None:
    told = await node.queue_events("paint")

    @app.task(queue="paint", retry=AT_ONCE)
    async def cars(context: Context, step: int) -> int:
        if step == 0:
            await context.update_data({"step": 1})
            raise OSError("once more")
        return step

    held = await app.queue("paint").add("cars", {"step": 0}, JobOptions(delay_s=600))
    await held.set_progress({"by": "us"})
    await told.wait_for("progress")
    assert (await node.job("paint", held.id))["progress"] == {"by": "us"}

    job_id = await node.add("paint", "cars", {"step": 0}, attempts=2)
    async with app.worker(queues=["paint"]):
        await until_in(app, job_id, State.COMPLETED)
    found = await node.job("paint", job_id)
    assert (found["data"], found["returnvalue"]) == ({"step": 1}, 1)


async def test_limits_that_we_say_are_nodes_own(app: App, node: Node) -> None:
    job = await app.queue("paint").add(
        "cars", {"n": 1}, JobOptions(keep_traces=1, max_payload_bytes=500, max_attempts=3)
    )
    opts = (await node.job("paint", job.id))["opts"]
    assert (opts["stackTraceLimit"], opts["sizeLimit"]) == (1, 500)

    worker = await node.worker("paint", {"throws": "again"})
    await worker.wait_for("failed", many=3)
    assert len((await node.job("paint", job.id))["stacktrace"]) == 1
