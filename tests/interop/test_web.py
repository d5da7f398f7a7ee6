"""The REST interface over queues that Node's BullMQ fills and works; Node sees what was done."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.interop.watching import until, until_in
from tests.support.node import Node
from tests.web.support import Served, serve
from tests.web.walk import walk

from toril import App, State
from toril.client import AsyncClient
from toril.web.options import ServerOptions

pytestmark = pytest.mark.timeout(600)  # the first one installs


@pytest.fixture
async def served(app: App) -> AsyncIterator[Served]:
    async with serve(app, ServerOptions(tick_s=0.05)) as served:
        yield served


@pytest.fixture
async def client(served: Served) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(served.url) as client:
        yield client


async def test_every_route_answers_over_a_queue_of_node(
    app: App, client: AsyncClient, node: Node
) -> None:
    worker = await node.worker("paint", {"throws": "out of paint"})
    failed = await node.add("paint", "cars", {"to": "jo", "n": 1})
    await worker.wait_for("failed")
    await worker.close()
    waiting = await node.add("paint", "cars", {"to": "al", "n": 2})

    async def nobody_serves() -> bool:
        return (await client.explain_job("paint", waiting)).reasons[0].kind == "no-worker"

    await until(nobody_serves, "the worker to be gone from the server's list")
    await client.search_queues()  # on no list of ours until somebody looks for it
    await walk(client, app, "paint", waiting, failed)


async def test_node_works_and_sees_what_was_done_over_http(
    app: App, client: AsyncClient, node: Node
) -> None:
    added = await client.add_job("paint", "cars", {"to": "José 😀", "n": [1, 2.5, None]})
    seen = await node.job("paint", added.id)
    assert (seen["name"], seen["data"]) == ("cars", {"to": "José 😀", "n": [1, 2.5, None]})

    await client.pause_queue("paint")
    assert await node.is_paused("paint")
    await client.resume_queue("paint")
    assert not await node.is_paused("paint")

    await client.change_job("paint", added.id, {"n": 3}, priority=5)
    assert await node.state("paint", added.id) == "prioritized"
    assert (await node.job("paint", added.id))["data"] == {"n": 3}
    await client.add_log_line("paint", added.id, "by hand")
    assert await node.logs("paint", added.id) == ["by hand"]
    await client.change_queue("paint", concurrency=2)
    assert await node.call("paint", "getGlobalConcurrency") == 2

    worker = await node.worker("paint", {"throws": "once", "failures": 1, "returns": {"ok": 1}})
    await worker.wait_for("failed")
    await until_in(app, added.id, State.FAILED)
    group = (await client.list_errors(queue="paint")).items[0]
    assert (group.sample_ids, group.message) == ([added.id], "once")
    await client.retry_job("paint", added.id, reset_attempts=False)
    await worker.wait_for("completed")
    await until_in(app, added.id, State.COMPLETED)
    assert (await client.get_result("paint", added.id)).value == {"ok": 1}
    last = (await client.list_attempts("paint", added.id)).items[-1]
    assert last.outcome == "completed"


async def test_many_jobs_of_node_are_found_and_operated(
    app: App, client: AsyncClient, node: Node
) -> None:
    for n in range(6):
        await node.add("paint", "cars" if n % 2 else "boats", {"n": n}, delay=600_000)
    await client.search_queues()

    found = await client.search_jobs(q="name:cars data.n>1")
    begun = await client.begin_operation("promote", query="queue:paint name:cars")

    async def done() -> bool:
        return (await client.get_operation(begun.id)).state == "done"

    await until(done, "the operation to end")
    assert [line.data_preview for line in found.items] == ['{"n":5}', '{"n":3}']
    assert await node.counts("paint", "wait", "delayed") == {"wait": 3, "delayed": 3}

    removal = await client.begin_operation("remove", query="queue:paint name:boats")

    async def removed() -> bool:
        return (await client.get_operation(removal.id)).state == "done"

    await until(removed, "the operation to end")
    assert await node.counts("paint", "delayed") == {"delayed": 0}
    assert (await client.undo_operation(removal.id)).restored == 3
    assert await node.counts("paint", "delayed") == {"delayed": 3}


def follows(served: Served) -> bool:
    return all(source.begun for source, _ in served.interface.live.sources.values())


async def test_stream_tells_what_node_does(
    app: App, client: AsyncClient, served: Served, node: Node
) -> None:
    await node.add("paint", "cars", {"n": 1})
    await client.search_queues()
    told: list[str] = []
    stream = client.stream(overview=True, queues=["paint"])
    async for message in stream:
        if message.kind == "overview" and not told:
            await until(lambda: follows(served), "a follower")
            await node.worker("paint", {"returns": 1})
            told.append("overview")
        if message.kind == "event":
            told.append(str(message.data["name"]))
            if told[-1] == "completed":
                break
    await stream.aclose()  # type: ignore[attr-defined] # a generator
    assert told[-2:] == ["active", "completed"]
