"""The driver itself: BullMQ does what a Python test tells it to, and says what it did."""

from __future__ import annotations

import asyncio
import urllib.request
from pathlib import Path

import pytest
from tests.support.bullmq import INTEROP, BullMQError
from tests.support.node import Node, node_modules
from tests.support.redis_servers import Cluster, RedisServer

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def test_node_adds_a_job_and_node_works_it(node: Node) -> None:
    events = await node.queue_events("paint")
    job_id = await node.add("paint", "cars", {"colour": "blue"}, attempts=2)
    worker = await node.worker("paint", {"logs": ["begun"], "progress": [50], "echo": True})

    assert await node.result("paint", job_id, events) == {"colour": "blue"}

    (finished,) = await worker.wait_for("completed")
    assert (finished["id"], finished["name"], finished["attemptsMade"]) == (job_id, "cars", 1)
    assert await node.state("paint", job_id) == "completed"
    assert await node.logs("paint", job_id) == ["begun"]
    assert (await node.counts("paint"))["completed"] == 1
    await events.wait_for("completed")
    assert [name for name in events.names if name != "drained"] == [
        "added",
        "waiting",
        "active",
        "progress",
        "completed",
    ]


async def test_worker_fails_as_often_as_it_is_told(node: Node) -> None:
    worker = await node.worker("paint", {"throws": "no paint", "failures": 1, "returns": "done"})
    job_id = await node.add("paint", "cars", attempts=2)

    await worker.wait_for("completed")

    job = await node.job("paint", job_id)
    assert (job["attemptsMade"], job["failedReason"], job["returnvalue"]) == (2, "no paint", "done")


async def test_worker_waits_until_it_is_released(node: Node) -> None:
    worker = await node.worker("paint", {"waits": True}, name="painter", concurrency=2)
    await node.add_bulk("paint", [("cars", {}, {}), ("boats", {}, {})])

    await worker.wait_for("active", many=2)
    assert await node.counts("paint", "active") == {"active": 2}
    assert [one["name"] for one in await node.workers("paint")] == ["paint"]
    assert await node.release() == 2

    await worker.wait_for("completed", many=2)
    await worker.close()


async def test_jobs_are_taken_and_ended_by_hand(node: Node, redis_server: RedisServer) -> None:
    job_id = await node.add("paint", "cars")

    taken = await node.take("paint", "token-1")
    assert taken["id"] == job_id
    assert await node.take("paint", "token-2") is None
    assert await node.extend_lock(job_id, "token-1", 60_000) == 1
    with pytest.raises(BullMQError, match="Lock mismatch") as refused:
        await node.complete(job_id, "token-2")
    assert refused.value.code == -6
    await node.fail(job_id, "token-1", "no paint")

    assert await node.state("paint", job_id) == "failed"


async def test_operator_verbs_reach_the_queue(node: Node) -> None:
    later = await node.add("paint", "cars", delay=60_000)
    urgent = await node.add("paint", "boats", priority=3)

    await node.pause("paint")
    await node.promote("paint", later)
    await node.change_priority("paint", urgent, 0)
    await node.update_data("paint", urgent, {"colour": "red"})

    assert await node.is_paused("paint")
    assert [job["id"] for job in await node.jobs("paint", "waiting", ascending=True)] == [
        later,
        urgent,
    ]
    assert await node.remove("paint", later) == 1
    assert (await node.job("paint", urgent))["data"] == {"colour": "red"}
    assert await node.job("paint", later) is None
    await node.obliterate("paint")
    assert set((await node.counts("paint")).values()) == {0}


async def test_flow_is_added_and_worked(node: Node) -> None:
    tree = {
        "name": "ship",
        "queueName": "parents",
        "children": [{"name": "hull", "queueName": "kids"}],
    }
    added = await node.add_flow(tree)
    (child,) = added["children"]
    kids = await node.worker("kids", {"returns": 7})
    parents = await node.worker("parents", {"childrenValues": True})

    (finished,) = await parents.wait_for("completed")

    assert await kids.wait_for("completed")
    assert list(finished["returnvalue"].values()) == [7]
    found = await node.flow("parents", added["job"]["id"])
    assert [below["job"]["id"] for below in found["children"]] == [child["job"]["id"]]


async def test_killed_node_leaves_its_job_active(node: Node, redis_server: RedisServer) -> None:
    worker = await node.worker("paint", {"waits": True})
    await node.add("paint", "cars")
    await worker.wait_for("active")

    await node.kill()

    with pytest.raises(BullMQError, match="Node has ended"):
        await node.counts("paint")


async def test_bull_board_shows_the_queue(node: Node) -> None:
    await node.add("paint", "cars", {"colour": "blue"})
    url = await node.board(["paint"])

    page = await asyncio.to_thread(_read, f"{url}/api/queues?activeQueue=paint&status=waiting")

    assert '"colour":"blue"' in page.replace(" ", "")


async def test_driver_speaks_to_a_cluster(tmp_path: Path) -> None:
    with Cluster.start(tmp_path) as cluster:
        async with await Node.start(f"{cluster.url}?prefix={{bull}}") as node:
            worker = await node.worker("paint", {"returns": 1})
            await node.add("paint", "cars")

            await worker.wait_for("completed")


def test_packages_come_from_no_named_registry() -> None:
    lock = (INTEROP / "package-lock.json").read_text("utf-8")

    assert '"resolved"' not in lock
    assert (node_modules() / "bullmq" / "package.json").is_file()


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as page:
        text: str = page.read().decode()
    return text
