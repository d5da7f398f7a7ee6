"""Why a job of a queue that Node fills and works is not running."""

from __future__ import annotations

import time

import pytest
from tests.interop.watching import until, until_in
from tests.support.node import Node

from toril import App, Explanation, Reason, ReasonKind, State

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def explained(app: App, job_id: str, *, queue: str = "paint") -> Explanation:
    """Return why a job is not running."""
    return await app.queue(queue).job(job_id).explain()


async def words(app: App, job_id: str, *, queue: str = "paint") -> list[str]:
    """Return the words of the reasons."""
    return [str(reason.kind) for reason in (await explained(app, job_id, queue=queue)).reasons]


async def first(app: App, job_id: str, *, queue: str = "paint") -> Reason:
    """Return the most important reason."""
    return (await explained(app, job_id, queue=queue)).reasons[0]


async def test_queue_that_node_fills_and_pauses(app: App, node: Node) -> None:
    before_s = time.time()
    await node.pause("paint")
    ids = [await node.add("paint", "cars") for _ in range(3)]
    urgent = await node.add("paint", "cars", priority=2)
    later = await node.add("paint", "cars", delay=600_000)

    assert await words(app, ids[2]) == ["paused", "no-worker", "in-line"]
    paused, _, line = (await explained(app, ids[2])).reasons
    assert line.values["ahead"] == 2
    since = paused.values["since"]
    assert before_s - 60 < since.timestamp() < time.time() + 60
    assert (await explained(app, urgent)).reasons[-1].values["ahead"] == 3
    assert await words(app, later) == ["delayed", "paused", "no-worker"]
    assert 500 < (await first(app, later)).values["left_s"] <= 600

    await node.resume("paint")
    assert await words(app, ids[0]) == ["no-worker", "in-line"]


async def test_pause_of_ours_that_node_ends_and_repeats_is_dated_anew(app: App, node: Node) -> None:
    job_id = await node.add("paint", "cars")
    await app.queue("paint").pause()
    ours = (await first(app, job_id)).values["since"]
    await node.resume("paint")
    assert await words(app, job_id) == ["no-worker", "in-line"]
    await node.pause("paint")

    again = (await first(app, job_id)).values["since"]

    assert again >= ours
    await app.queue("paint").resume()
    await app.queue("paint").pause()
    assert (await first(app, job_id)).values["since"] >= again


async def test_job_that_node_works_and_one_behind_it(app: App, node: Node) -> None:
    worker = await node.worker(
        "paint", {"waits": True, "progress": [40], "throws": "no"}, concurrency=1
    )
    running = await node.add("paint", "cars", attempts=2, backoff=600_000)
    await until_in(app, running, State.ACTIVE)
    behind = await node.add("paint", "trucks")

    async def has_told() -> bool:
        return bool((await first(app, running)).values["progress"] == 40)

    await until(has_told, "the progress")
    holds = await first(app, running)
    assert holds.kind is ReasonKind.RUNNING
    assert "one of BullMQ" in holds.sentence
    assert 0 < holds.values["lease_remaining_s"] <= 30

    assert await words(app, behind) == ["foreign-workers", "in-line"]
    assert (await first(app, behind)).values["foreign_workers"] == 1

    await node.set_global_concurrency("paint", 1)
    assert await words(app, behind) == ["foreign-workers", "concurrency", "in-line"]
    full = (await explained(app, behind)).reasons[1]
    assert [one["job_id"] for one in full.values["running"]] == [running]

    await node.pause("paint")
    await node.ask("release")
    await until_in(app, running, State.DELAYED)
    retry = await first(app, running)
    assert retry.kind is ReasonKind.DELAYED
    assert (retry.values["after_outcome"], retry.values["error"]) == ("retried", "no")
    await worker.close()
    assert await words(app, behind) == ["paused", "no-worker", "in-line"]


async def test_worker_of_ours_is_none_of_bullmq(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> None: ...

    await app.queue("paint").pause()
    job_id = await node.add("paint", "trucks")
    async with app.worker(queues=["paint"]):

        async def is_seen() -> bool:
            return len(await node.workers("paint")) == 1

        await until(is_seen, "our worker to be seen by BullMQ")

        _, reason, _ = (await explained(app, job_id)).reasons
        assert reason.kind is ReasonKind.NO_TASK
        assert reason.values["foreign_workers"] == 0


async def test_rate_limit_that_node_has_set(app: App, node: Node) -> None:
    await node.set_global_rate_limit("paint", 1, 600_000)
    worker = await node.worker("paint")
    done, held = await node.add("paint", "cars"), await node.add("paint", "cars")
    await until_in(app, done, State.COMPLETED)

    async def is_held() -> bool:
        return "rate" in await words(app, held)

    await until(is_held, "the limit to be used up")
    assert await words(app, held) == ["foreign-workers", "rate", "in-line"]
    assert await words(app, done) == ["completed"]
    await worker.close()


async def test_flow_of_node_names_the_child_that_keeps_it(app: App, node: Node) -> None:
    tree = await node.add_flow(
        {
            "name": "car",
            "queueName": "cars",
            "children": [
                {"name": "paint", "queueName": "paint", "opts": {"jobId": "red", "attempts": 1}},
                {"name": "wheel", "queueName": "wheels", "opts": {"jobId": "front"}},
            ],
        }
    )
    parent = str(tree["job"]["id"])
    worker = await node.worker("paint", {"throws": "no paint"})
    await until_in(app, "red", State.FAILED)
    await worker.close()

    reason = await first(app, parent, queue="cars")

    assert await words(app, parent, queue="cars") == ["children", "no-worker"]
    assert reason.sentence.startswith(
        "It waits for 2 children: red of queue 'paint' (failed), front of queue 'wheels' (wait);"
    )
    assert reason.values["left"] == 2
    child = (await explained(app, "front", queue="wheels")).reasons[-1]
    assert child.kind is ReasonKind.PARENT
    assert child.values == {"queue": "cars", "job_id": parent}


async def test_schedule_of_node_is_named(app: App, node: Node) -> None:
    made = await node.upsert_scheduler("paint", "nightly", {"every": 600_000}, {"name": "cars"})

    reasons = (await explained(app, str(made["id"]))).reasons

    assert reasons[-1].kind is ReasonKind.SCHEDULE
    assert reasons[-1].values == {"id": "nightly"}
