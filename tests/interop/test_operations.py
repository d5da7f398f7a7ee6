"""Operations on many jobs in queues that Node's BullMQ fills and works; Node sees what was done."""

from __future__ import annotations

import pytest
from tests.support.node import Node

from toril import App

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def failures(node: Node, many: int) -> list[str]:
    """Have Node fail jobs."""
    worker = await node.worker("paint", {"throws": "out of paint"})
    ids = [await node.add("paint", "cars", {"n": n}) for n in range(many)]
    await worker.wait_for("failed", many=many)
    await worker.close()
    return ids


async def test_failures_of_node_are_retried_and_node_completes_them(app: App, node: Node) -> None:
    ids = await failures(node, 5)

    info = await (await app.bulk.retry('queue:paint error~"out of paint" data.n<3')).run()

    assert (info.done, info.refused) == (3, 0)
    assert await node.counts("paint", "wait", "failed") == {"wait": 3, "failed": 2}
    worker = await node.worker("paint", {"returns": 1})
    await worker.wait_for("completed", many=3)
    states = [(await app.queue("paint").job(job_id).info()).state for job_id in ids]
    assert states == ["completed"] * 3 + ["failed"] * 2


async def test_removed_jobs_are_gone_to_node_and_come_back(app: App, node: Node) -> None:
    ids = await failures(node, 3)
    before = [await node.job("paint", job_id) for job_id in ids]
    operation = await app.bulk.remove("queue:paint state:failed")

    assert (await operation.run()).done == 3
    assert await node.counts("paint", "failed") == {"failed": 0}
    assert (await operation.undo()).restored == 3

    assert await node.counts("paint", "failed") == {"failed": 3}
    assert [await node.job("paint", job_id) for job_id in ids] == before
    await node.retry("paint", ids[0])
    worker = await node.worker("paint", {"returns": 1})
    await worker.wait_for("completed")


async def test_jobs_that_node_added_are_promoted_cancelled_and_moved(app: App, node: Node) -> None:
    for n in range(3):
        await node.add("paint", "cars", {"n": n}, delay=600_000)

    promoted = await (await app.bulk.promote("queue:paint data.n:0")).run()
    cancelled = await (await app.bulk.cancel("queue:paint data.n:1", reason="no")).run()
    moved = await (await app.bulk.move("queue:paint data.n:2", to="varnish")).run()

    assert [one.done for one in (promoted, cancelled, moved)] == [1, 1, 1]
    assert await node.counts("paint", "wait", "failed", "delayed") == {
        "wait": 1, "failed": 1, "delayed": 0
    }  # fmt: skip
    assert await node.counts("varnish", "delayed") == {"delayed": 1}
    await node.promote("varnish", "3")
    worker = await node.worker("varnish", {"returns": 1})
    await worker.wait_for("completed")
