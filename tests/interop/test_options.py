"""What is said of one job holds wherever it runs: attempts, waits, keeping, order, logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from tests.interop.watching import PATIENCE_S, until, until_completed, until_in
from tests.support.node import Node

from toril import (
    App,
    Context,
    JobInfo,
    JobOptions,
    KeepPolicy,
    RetryPolicy,
    State,
    UnknownTaskWarning,
)

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def test_node_waits_between_attempts_as_toril_says(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=4, base_s=0.01))
    async def cars() -> None: ...

    fixed = JobOptions(max_attempts=3, backoff="fixed", backoff_s=0.03)
    worker = await node.worker("paint", {"throws": "no brush"}, concurrency=5)
    with pytest.warns(UnknownTaskWarning):  # Node's worker runs it
        boats = await app.queue("paint").add("boats", {}, fixed)
    jobs = [await cars.enqueue(), boats]

    infos = [await until_in(app, job.id, State.FAILED) for job in jobs]

    assert [info.attempts_made for info in infos] == [4, 3]
    await worker.wait_for("failed", many=7)
    failures = worker.named("failed")
    waits = [[one["delay"] for one in failures if one["id"] == job.id][:-1] for job in jobs]
    assert waits == [[10, 20, 40], [30, 30]]


async def tried_by_node(app: App, node: Node, *options: JobOptions) -> list[JobInfo]:
    """Return what became of jobs with these options, of a task that is not known here."""
    worker = await node.worker("paint", {"throws": "no brush"}, concurrency=5)
    for one in options:
        await app.queue("paint").add("cars", {}, one)
    await until(
        lambda: worker.named("error") or len(worker.named("failed")) == 2 * len(options),
        "Node to try each twice",
    )
    assert worker.named("error") == []
    return (await app.queue("paint").jobs(State.FAILED)).jobs


async def test_node_tries_as_often_as_toril_says_of_unknown_tasks(app: App, node: Node) -> None:
    ended = await tried_by_node(
        app,
        node,
        JobOptions(max_attempts=2),
        JobOptions(max_attempts=2, backoff="fixed"),
        JobOptions(max_attempts=2, backoff="exponential"),
    )

    assert [job.attempts_made for job in ended] == [2, 2, 2]


@pytest.mark.parametrize(
    "options",
    [JobOptions(max_attempts=2, backoff_s=0.01), JobOptions(max_attempts=2, jitter_ratio=0.5)],
    ids=["wait", "jitter"],
)
async def test_node_understands_a_wait_without_its_kind(
    app: App, node: Node, options: JobOptions
) -> None:
    """It took it for a kind that it does not know, and left the job hanging."""
    ended = await tried_by_node(app, node, options)

    assert [job.attempts_made for job in ended] == [2]


async def test_toril_waits_between_attempts_as_node_says(app: App, node: Node) -> None:
    """The task's own policy would try once, and not wait."""

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1, base_s=0.0))
    async def cars() -> None:
        raise ValueError("no paint")

    async with app.worker(queues=["paint"]):
        exponential = await node.add(
            "paint", "cars", attempts=3, backoff={"type": "exponential", "delay": 40}
        )
        fixed = await node.add("paint", "cars", attempts=3, backoff=50)
        once = await node.add("paint", "cars")
        infos = [await until_in(app, one, State.FAILED) for one in (exponential, fixed, once)]

    assert [info.attempts_made for info in infos] == [3, 3, 1]
    assert min(pauses_ms(infos[0])) >= 40
    assert pauses_ms(infos[0])[1] >= 80
    assert min(pauses_ms(infos[1])) >= 50


def pauses_ms(info: JobInfo) -> list[float]:
    """Return how long it was between the attempts of a job."""
    ended = [attempt.ended_at for attempt in info.attempts[:-1]]
    begun = [attempt.started_at for attempt in info.attempts[1:]]
    return [(b - e) / timedelta(milliseconds=1) for e, b in zip(ended, begun, strict=True)]


async def test_toril_keeps_finished_jobs_as_node_says(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars(n: int) -> int:
        if n < 0:
            raise ValueError("no paint")
        return n

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"], concurrency=1):
        kept = await node.add("paint", "cars", {"n": 1})
        gone = await node.add("paint", "cars", {"n": 2}, removeOnComplete=True)
        failed = await node.add("paint", "cars", {"n": -1})
        failed_gone = await node.add("paint", "cars", {"n": -2}, removeOnFail=True)
        await events.wait_for("completed", many=2)
        await events.wait_for("failed", many=2)
        assert await ids_of(node, "completed") == [kept]
        assert await ids_of(node, "failed") == [failed]
        assert await node.job("paint", gone) is None
        assert await node.job("paint", failed_gone) is None

        for n in range(3, 6):
            last = await node.add("paint", "cars", {"n": n}, removeOnComplete={"count": 2})
        await events.wait_for("completed", many=5)
        assert len(await ids_of(node, "completed")) == 2
        aged = await node.add("paint", "cars", {"n": 9}, removeOnComplete={"age": 3600, "count": 9})
        await events.wait_for("completed", many=6)
        assert {last, aged} < set(await ids_of(node, "completed"))


async def test_node_keeps_finished_jobs_as_toril_says(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"returns": 1})
    gone = await queue.add("cars", {}, JobOptions(keep_completed=KeepPolicy(count=0)))
    few = JobOptions(keep_completed=KeepPolicy(count=2, age_s=3600.0))
    ids = [(await queue.add("cars", {}, few)).id for _ in range(3)]
    await worker.wait_for("completed", many=4)

    assert await node.job("paint", gone.id) is None
    assert await ids_of(node, "completed") == [ids[2], ids[1]]
    await worker.close()
    worker = await node.worker("paint", {"throws": "no brush"})
    await queue.add("cars", {}, JobOptions(keep_failed=KeepPolicy(count=0)))
    await worker.wait_for("failed")
    assert await ids_of(node, "failed") == []


async def ids_of(node: Node, state: str) -> Sequence[str]:
    """Return the ids of a state, newest first."""
    return [job["id"] for job in await node.jobs("paint", state)]


async def test_newest_logs_and_traces_are_kept(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1, base_s=0.0))
    async def cars(ctx: Context) -> None:
        for n in range(4):
            ctx.log(f"{ctx.attempt}.{n}")
        raise ValueError(f"attempt {ctx.attempt}")

    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars", attempts=3, keepLogs=5, stackTraceLimit=2)
        bare = await node.add("paint", "cars", stackTraceLimit=0)
        await until_in(app, job_id, State.FAILED)
        await until_in(app, bare, State.FAILED)
    await node.worker("boats", {"logs": ["a", "b", "c"]})
    boat = await app.queue("boats").add("hull", {}, JobOptions(keep_logs=2))
    await boat.result(timeout_s=PATIENCE_S)

    assert await node.logs("paint", job_id) == ["2.3", "3.0", "3.1", "3.2", "3.3"]
    job = await node.job("paint", job_id)
    assert [trace.splitlines()[-1] for trace in job["stacktrace"]] == [
        "ValueError: attempt 2",
        "ValueError: attempt 3",
    ]
    assert (await node.job("paint", bare))["stacktrace"] == []
    assert await boat.logs() == ["b", "c"]


async def test_toril_works_in_the_order_that_node_says(app: App, node: Node) -> None:
    order: list[str] = []

    @app.task(queue="paint", name="cars")
    async def cars(who: str) -> None:
        order.append(who)

    for who, options in (
        ("fourth", {"priority": 2}),
        ("third", {"priority": 1}),
        ("second", {}),
        ("first", {"lifo": True}),
        ("fifth", {"priority": 2}),
        ("last", {"priority": 2_097_151}),
    ):
        await node.add("paint", "cars", {"who": who}, **options)
    later = await node.add("paint", "cars", {"who": "later"}, delay=400, priority=2_097_151)

    async with app.worker(queues=["paint"], concurrency=1):
        info = await until_in(app, later, State.COMPLETED)

    assert order == ["first", "second", "third", "fourth", "fifth", "last", "later"]
    assert info.processed_at is not None
    assert info.processed_at - info.created_at >= timedelta(milliseconds=400)


async def test_node_works_in_the_order_that_toril_says(app: App, node: Node) -> None:
    queue = app.queue("paint")
    for who, options in (
        ("fourth", JobOptions(priority=2)),
        ("third", JobOptions(priority=1)),
        ("second", JobOptions()),
        ("first", JobOptions(lifo=True)),
        ("fifth", JobOptions(priority=2)),
        ("last", JobOptions(priority=2_097_151)),
        ("later", JobOptions(delay_s=0.4, priority=2_097_151)),
    ):
        await queue.add("cars", {"who": who}, options)

    worker = await node.worker("paint", {"echo": True})
    await until_completed(app, "paint", 7)

    done = await worker.wait_for("completed", many=7)
    assert [job["data"]["who"] for job in done] == [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "last",
        "later",
    ]
    assert done[-1]["processedOn"] - done[-1]["timestamp"] >= 400
