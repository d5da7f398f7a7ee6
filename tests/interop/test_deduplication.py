"""De-duplication ids that Node and Toril share."""

from __future__ import annotations

import pytest
from tests.interop.watching import until_in
from tests.support.node import Node

from toril import App, Deduplication, JobOptions, State

pytestmark = pytest.mark.timeout(600)  # the first one installs

ONCE = JobOptions(deduplication=Deduplication("report"))


async def test_job_of_node_holds_up_those_of_toril(app: App, node: Node) -> None:
    first = await node.add("paint", "cars", {}, deduplication={"id": "report"})
    events = await node.queue_events("paint")

    job = await app.queue("paint").add("cars", {}, ONCE)

    assert (job.id, job.duplicate) == (first, True)
    told = (await events.wait_for("deduplicated"))[0]
    assert (told["jobId"], told["deduplicationId"]) == (first, "report")
    worker = await node.worker("paint", {"returns": 1})
    await worker.wait_for("completed")
    assert not (await app.queue("paint").add("cars", {}, ONCE)).duplicate


async def test_job_of_toril_holds_up_those_of_node(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    first = await app.queue("paint").add("cars", {}, ONCE)

    assert await node.add("paint", "cars", {}, deduplication={"id": "report"}) == first.id
    assert await node.call("paint", "getDeduplicationJobId", "report") == first.id
    async with app.worker(queues=["paint"]):
        await until_in(app, first.id, State.COMPLETED)
    assert await node.call("paint", "getDeduplicationJobId", "report") is None
    assert await node.add("paint", "cars", {}, deduplication={"id": "report"}) != first.id


async def test_each_replaces_and_reschedules_the_others_delayed_job(app: App, node: Node) -> None:
    queue = app.queue("paint")
    replace = Deduplication("draft", replace=True)
    put_off = Deduplication("draft", reschedule=True)

    of_node = await node.add(
        "paint", "cars", {}, delay=60_000, deduplication={"id": "draft", "replace": True}
    )
    ours = await queue.add("cars", {}, JobOptions(delay_s=60, deduplication=replace))
    assert not ours.duplicate
    assert await node.job("paint", of_node) is None

    newest = await node.add(
        "paint", "cars", {}, delay=60_000, deduplication={"id": "draft", "replace": True}
    )
    assert await node.job("paint", ours.id) is None
    again = await queue.add("cars", {}, JobOptions(delay_s=600, deduplication=put_off))
    assert again.id == newest
    assert (await node.job("paint", newest))["delay"] == 600_000
    assert await node.call("paint", "removeDeduplicationKey", "draft") == 1
    assert await queue.deduplicating_job("draft") is None


async def test_last_that_came_while_the_other_ran_it_is_added(app: App, node: Node) -> None:
    last = {"id": "sync", "keepLastIfActive": True}
    ours = JobOptions(deduplication=Deduplication("sync", keep_last_if_active=True))
    queue = app.queue("paint")

    taken = await node.add("paint", "cars", {"n": 1}, deduplication=last)
    assert (await node.take("paint", "mine"))["id"] == taken
    assert (await queue.add("cars", {"n": 2}, ours)).id == taken
    assert (await queue.add("cars", {"n": 3}, ours)).id == taken
    await node.complete(taken, "mine", 1)

    (job,) = (await queue.jobs(State.WAIT)).jobs
    assert (job.data, job.deduplication_id) == ({"n": 3}, "sync")
    holder = await queue.deduplicating_job("sync")
    assert holder is not None
    assert holder.id == job.id
