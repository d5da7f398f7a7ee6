"""Searches look through what Node's BullMQ has filled and worked."""

from __future__ import annotations

import pytest
from tests.support.node import Node

from toril import App

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def found(app: App, text: str) -> list[str]:
    page = await app.search(text, budget=60)
    assert page.ended
    return [info.id for info in page.jobs]


async def test_jobs_of_node_are_found_in_every_state(app: App, node: Node) -> None:
    to = "José 😀 <jo@example.com>"
    plain = await node.add("paint", "cars", {"to": to, "n": 1})
    ranked = await node.add("paint", "boats", {"to": "flo", "n": 2}, priority=7)
    later = await node.add("paint", "cars", {"to": to, "n": 3}, delay=60_000)

    assert await found(app, "queue:paint name:cars data.to:*@example.com>") == [plain, later]
    assert await found(app, "queue:paint data.to~josé") == [plain, later]
    assert await found(app, "queue:paint 😀 data.n>2") == [later]
    assert await found(app, "queue:paint priority:7") == [ranked]
    assert await found(app, f"queue:paint id:{ranked}") == [ranked]
    # On no list of ours until somebody looks for it.
    assert await found(app, "name:boats") == []
    await app.queues(search=True)
    assert await found(app, "name:boats") == [ranked]


async def test_failures_on_node_are_found_by_reason_and_time(app: App, node: Node) -> None:
    worker = await node.worker("paint", {"throws": "out of paint"})
    job_id = await node.add("paint", "cars", {"n": 1})
    await worker.wait_for("failed")

    assert await found(app, 'queue:paint state:failed error~"Out of paint" since:1h') == [job_id]
    assert await found(app, "queue:paint attempts:1 runtime<1h") == [job_id]
    assert await found(app, "queue:paint state:failed until:1h") == []
