"""How a job ends is the same to both: values, reasons, progress, and outcomes of every kind."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.interop.watching import PATIENCE_S, until, until_completed, until_in
from tests.support.bullmq import BullMQError
from tests.support.node import Node

from toril import (
    App,
    Cancel,
    Context,
    Fail,
    JobFailedError,
    JobOptions,
    Retry,
    RetryPolicy,
    Snooze,
    State,
)

pytestmark = pytest.mark.timeout(600)  # the first one installs

VALUES: list[Any] = [
    None,
    False,
    0,
    "",
    "null",
    "he said \"no\", \\ and 'yes' / or",
    "two\nlines\tand\u2028more\u0000",
    "grün 🚗 漢字",
    '{"a": 1}',
    2**53 - 1,
    -1.5e-7,
    [],
    {},
    {"": [], "a": [{"b": [None, True, {}]}, "🚗"], "__proto__": 1},
    [[[[[1]]]]],
    "x" * 60_000,
]
REASONS = [
    'he said "no"',
    "two\nlines",
    "grün 🚗 漢字",
    '{"a": 1}',
    "null",
    "%s \\u0000 {0}",
    "x" * 10_000,
]


async def test_node_gets_what_tasks_return_however_odd(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> Any:
        return VALUES[n]

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        ids = [await node.add("paint", "cars", {"n": n}) for n in range(len(VALUES))]
        found = await asyncio.gather(*(node.result("paint", one, events) for one in ids))

    assert found == VALUES
    assert [(await node.job("paint", one)).get("returnvalue") for one in ids] == VALUES
    assert events.named("error") == []
    told = {event["jobId"]: event.get("returnvalue") for event in events.named("completed")}
    assert [told[one] for one in ids] == VALUES


async def test_numbers_beyond_javascripts_do_not_stop_nodes_reader(app: App, node: Node) -> None:
    numbers = [2**64, 2**53 + 1, -(10**300), 1e308, 5e-324]

    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> Any:
        return numbers[n]

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        ids = [await node.add("paint", "cars", {"n": n}) for n in range(len(numbers))]
        found = await asyncio.gather(*(node.result("paint", one, events) for one in ids))

    assert [float(value) for value in found] == [float(number) for number in numbers]
    assert events.named("error") == []


async def test_toril_gets_what_node_returns_however_odd(app: App, node: Node) -> None:
    queue = app.queue("paint")
    await node.worker("paint", {"echo": True}, concurrency=5)

    jobs = [await queue.add("cars", {"value": value}) for value in VALUES]
    found = [await job.result(timeout_s=PATIENCE_S) for job in jobs]

    assert found == [{"value": value} for value in VALUES]


async def test_node_gets_why_tasks_fail_however_odd(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> None:
        raise Fail(REASONS[n])

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        ids = [await node.add("paint", "cars", {"n": n}) for n in range(len(REASONS))]
        found = await asyncio.gather(
            *(node.result("paint", one, events) for one in ids), return_exceptions=True
        )

    assert [getattr(error, "message", error) for error in found] == REASONS
    assert [(await node.job("paint", one))["failedReason"] for one in ids] == REASONS
    assert events.named("error") == []


async def test_toril_gets_why_node_fails_however_odd(app: App, node: Node) -> None:
    queue = app.queue("paint")
    for reason in REASONS:
        worker = await node.worker("paint", {"throws": reason})
        job = await queue.add("cars", {}, JobOptions(max_attempts=1))
        with pytest.raises(JobFailedError) as refused:
            await job.result(timeout_s=PATIENCE_S)
        await worker.close()

        assert str(refused.value) == reason
        assert (await job.info()).failed_reason == reason


async def test_progress_is_seen_in_any_shape(app: App, node: Node) -> None:
    shapes: list[Any] = [1, 99.5, {"done": 1, "of": "grün"}, "half", [1, [2]], 100]

    @app.task(queue="paint", name="cars")
    async def cars(ctx: Context) -> None:
        for shape in shapes:
            ctx.progress(shape)

    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await node.add("paint", "cars")
        await node.result("paint", job_id, events)
    await node.worker("boats", {"progress": shapes})
    boat = await app.queue("boats").add("hull", {})
    await boat.result(timeout_s=PATIENCE_S)

    assert [event["data"] for event in events.named("progress")] == shapes
    assert (await node.job("paint", job_id))["progress"] == 100
    told = [
        event.fields["data"]
        async for event in app.queue("boats").events(after=0, until_idle=True)
        if event.name == "progress"
    ]
    assert len(told) == len(shapes)
    assert (await boat.info()).progress == 100


async def test_outcomes_that_tasks_raise_are_seen_by_node(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=3))
    async def cars(ctx: Context, how: str) -> str:
        first = ctx.attempt == 1
        if how == "retry" and first:
            raise Retry("not yet dry", after_s=600)
        if how == "snooze" and not seen:
            seen.append(how)
            raise Snooze(after_s=600)
        if how == "cancel":
            raise Cancel("no longer wanted")
        if how == "fail":
            raise Fail("of no use")
        return how

    seen: list[str] = []
    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        ids = {
            how: await node.add("paint", "cars", {"how": how}, attempts=3)
            for how in ("retry", "snooze", "cancel", "fail")
        }
        await events.wait_for("failed", many=2)
        await events.wait_for("delayed", many=2)

        shown = {
            how: (job["attemptsMade"], job["attemptsStarted"], job.get("failedReason"))
            for how, job in [(how, await node.job("paint", one)) for how, one in ids.items()]
        }
        assert shown == {
            "retry": (1, 1, "not yet dry"),
            "snooze": (0, 1, None),
            "cancel": (1, 1, "no longer wanted"),
            "fail": (1, 1, "of no use"),
        }
        states = {how: await node.state("paint", one) for how, one in ids.items()}
        assert states == {
            "retry": "delayed",
            "snooze": "delayed",
            "cancel": "failed",
            "fail": "failed",
        }
        with pytest.raises(BullMQError, match="no longer wanted"):
            await node.result("paint", ids["cancel"], events)

        for how in ("retry", "snooze"):
            await node.promote("paint", ids[how])
            assert await node.result("paint", ids[how], events) == how
    assert (await node.job("paint", ids["retry"]))["attemptsMade"] == 2
    assert (await node.job("paint", ids["snooze"]))["attemptsMade"] == 1
    assert events.named("retries-exhausted") == []


async def test_errors_that_steer_node_are_understood(app: App, node: Node) -> None:
    queue = app.queue("paint")
    worker = await node.worker("paint", {"snoozeMs": 600_000, "returns": "dry"})
    job = await queue.add("cars", {}, JobOptions(max_attempts=2))
    info = await until_in(app, job.id, State.DELAYED)
    assert (info.attempts_made, info.attempts_started) == (0, 1)
    await job.promote()
    assert await job.result(timeout_s=PATIENCE_S) == "dry"
    info = await job.info()
    assert (info.attempts_made, info.attempts_started) == (1, 2)
    await worker.close()

    worker = await node.worker("paint", {"unrecoverable": "of no use"})
    job = await queue.add("cars", {}, JobOptions(max_attempts=5))
    with pytest.raises(JobFailedError, match="of no use"):
        await job.result(timeout_s=PATIENCE_S)
    assert (await job.info()).attempts_made == 1
    await worker.close()

    limiter = {"max": 100, "duration": 1000}
    await node.worker("paint", {"rateLimitMs": 300, "returns": "late"}, limiter=limiter)
    job = await queue.add("cars", {}, JobOptions(max_attempts=2))
    assert await job.result(timeout_s=PATIENCE_S) == "late"
    info = await job.info()
    assert (info.attempts_made, info.attempts_started, info.failed_reason) == (1, 2, None)


async def test_queue_that_tells_outcomes_only_tells_node_enough(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(ctx: Context, n: int) -> int:
        ctx.progress(n)
        if n == 0:
            raise Fail("no paint")
        return n

    queue = app.queue("paint")
    await queue.set_events("outcomes")
    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        good = await queue.add("cars", {"n": 1}, JobOptions(delay_s=0.05))
        bad = await queue.add("cars", {"n": 0})
        assert await node.result("paint", good.id, events) == 1
        with pytest.raises(BullMQError, match="no paint"):
            await node.result("paint", bad.id, events)

    assert set(events.names) == {"progress", "completed", "failed"}


async def test_queue_that_tells_nothing_is_worked_by_both(app: App, node: Node) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(n: int) -> int:
        return n

    queue = app.queue("paint")
    await queue.set_events("none")
    events = await node.queue_events("paint")
    async with app.worker(queues=["paint"]):
        await queue.add_many([("cars", {"n": n}) for n in range(20)])
        await until_completed(app, "paint", 20)
    worker = await node.worker("paint", {"echo": True})
    jobs = await queue.add_many([("cars", {"n": n}) for n in range(20)])
    assert [await job.result(timeout_s=PATIENCE_S) for job in jobs] == [{"n": n} for n in range(20)]
    await worker.wait_for("completed", many=20)
    assert worker.named("error") == []
    await worker.close()

    await queue.set_events("all")
    async with app.worker(queues=["paint"]):
        last = await queue.add("cars", {"n": 99})
        assert await node.result("paint", last.id, events) == 99
    ours = {str(n) for n in range(1, 21)}
    await until(lambda: "completed" in events.names, "events to be told again")
    assert not [event for event in events.named("completed") if event["jobId"] in ours]
