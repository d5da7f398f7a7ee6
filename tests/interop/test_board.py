"""Bull Board over our queues, by its own API: what it shows is so, and what it does happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from tests.interop.watching import until, until_in
from tests.support.board import Board
from tests.support.node import Node

from toril import App, Context, JobOptions, RetryPolicy, State, Worker
from toril.testing.clock import ManualClock

pytestmark = pytest.mark.timeout(600)  # the first one installs


@pytest.fixture
async def board(node: Node) -> Board:
    """A board over two queues."""
    return await Board.start(node, "paint", "ships")


class Shop:
    """A worker with a task that does what its payload says, one job at a time."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.ran: list[str] = []
        self.go_on = asyncio.Event()
        self.worker: Worker

        @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
        async def cars(ctx: Context, colour: str) -> dict[str, str]:
            self.ran.append(colour)
            if colour == "none":
                raise ValueError("no paint")
            if colour == "slow":
                ctx.progress({"done": 50})
                await self.go_on.wait()
            ctx.log(f"painting it {colour}")
            ctx.log("done")
            return {"painted": colour}

    async def add(self, colour: str, options: JobOptions | None = None) -> str:
        """Add a job and return its id."""
        return (await self.app.queue("paint").add("cars", {"colour": colour}, options)).id


@pytest.fixture
async def shop(app: App) -> AsyncIterator[Shop]:
    """A shop that is open."""
    shop = Shop(app)
    async with app.worker(queues=["paint"], concurrency=1) as shop.worker:
        yield shop
        shop.go_on.set()


async def test_queues_are_listed_with_right_counts(shop: Shop, board: Board) -> None:
    await until_in(shop.app, await shop.add("red"), State.COMPLETED)
    await until_in(shop.app, await shop.add("blue"), State.COMPLETED)
    await until_in(shop.app, await shop.add("none"), State.FAILED)
    await until_in(shop.app, await shop.add("slow"), State.ACTIVE)
    for _ in range(3):
        await shop.add("green")
    for priority in (1, 2, 3, 4):
        await shop.add("grey", JobOptions(priority=priority))
    for _ in range(5):
        await shop.add("gold", JobOptions(delay_s=600))

    async def has_workers() -> bool:
        return bool((await board.queue("paint"))["hasWorkers"])

    await until(has_workers, "the board to know of the worker")
    seen = await board.queue("paint")

    assert seen["counts"] == {
        "active": 1,
        "waiting": 3,
        "waiting-children": 0,
        "prioritized": 4,
        "completed": 2,
        "failed": 1,
        "delayed": 5,
    }
    assert seen["isPaused"] is False
    other = await board.queue("ships")
    assert (set(other["counts"].values()), other["hasWorkers"]) == ({0}, False)

    await shop.app.queue("paint").pause()
    await shop.app.queue("paint").set_concurrency(7)
    seen = await board.queue("paint")
    assert (seen["isPaused"], seen["globalConcurrency"]) == (True, 7)
    assert (seen["counts"]["waiting"], seen["counts"]["prioritized"]) == (3, 4)


async def test_jobs_are_listed_as_they_are(shop: Shop, board: Board) -> None:
    completed = await shop.add("grün")
    failed = await shop.add("none", JobOptions(max_attempts=2, backoff_s=0.0, backoff="fixed"))
    await until_in(shop.app, failed, State.FAILED)
    active = await shop.add("slow")
    await until_in(shop.app, active, State.ACTIVE)
    delayed = await shop.add("gold", JobOptions(delay_s=600))
    prioritized = await shop.add("grey", JobOptions(priority=9))
    first, second = await shop.add("green"), await shop.add("green")

    (seen,) = await board.jobs("paint", "completed")
    assert (seen["id"], seen["name"], seen["data"]) == (completed, "cars", {"colour": "grün"})
    assert (seen["returnValue"], seen["attempts"]) == ({"painted": "grün"}, 1)
    assert (seen["isFailed"], seen["processedBy"]) == (False, shop.worker.id)
    assert seen["timestamp"] <= seen["processedOn"] <= seen["finishedOn"] <= time.time() * 1000

    (seen,) = await board.jobs("paint", "failed")
    assert (seen["id"], seen["failedReason"]) == (failed, "ValueError: no paint")
    assert (seen["attempts"], seen["isFailed"], seen["opts"]["attempts"]) == (2, True, 2)
    assert len(seen["stacktrace"]) == 2
    assert all(trace.endswith("ValueError: no paint\n") for trace in seen["stacktrace"])

    (seen,) = await board.jobs("paint", "active")
    assert (seen["id"], seen["processedBy"]) == (active, shop.worker.id)

    async def is_half_done() -> bool:
        return bool((await board.jobs("paint", "active"))[0]["progress"] == {"done": 50})

    await until(is_half_done, "the board to show progress")

    (seen,) = await board.jobs("paint", "delayed")
    assert (seen["id"], seen["delay"]) == (delayed, 600_000)
    (seen,) = await board.jobs("paint", "prioritized")
    assert (seen["id"], seen["priority"]) == (prioritized, 9)
    newest_first = [seen["id"] for seen in await board.jobs("paint", "waiting")]
    assert newest_first == [second, first]

    one = await board.get("paint", failed)
    assert (one["job"]["id"], one["status"]) == (failed, "failed")
    everything = {seen["id"] for seen in (await board.queue("paint"))["jobs"]}
    assert everything == {completed, failed, active, delayed, prioritized, first, second}


async def test_logs_workers_and_metrics_are_shown(shop: Shop, board: Board) -> None:
    job_id = await shop.add("red")
    await until_in(shop.app, job_id, State.COMPLETED)
    await until_in(shop.app, await shop.add("none"), State.FAILED)

    assert await board.get("paint", job_id, "logs") == ["painting it red", "done"]

    async def listed() -> bool:
        return len((await board.get("paint", "workers"))["workers"]) == 1

    await until(listed, "the board to list the worker")
    (worker,) = (await board.get("paint", "workers"))["workers"]
    assert worker["name"] == shop.worker.id
    assert (await board.get("ships", "workers"))["workers"] == []

    metrics = await board.get("paint", "metrics")
    assert {state: found["meta"]["count"] for state, found in metrics.items()} == {
        "completed": 1,
        "failed": 1,
    }


async def test_jobs_are_retried(shop: Shop, board: Board) -> None:
    ids = [await shop.add("none") for _ in range(3)]
    for job_id in ids:
        await until_in(shop.app, job_id, State.FAILED)
    done = await shop.add("red")
    await until_in(shop.app, done, State.COMPLETED)

    await shop.app.queue("paint").job(ids[0]).update_data({"colour": "blue"})
    assert await board.put("paint", ids[0], "retry") == 204
    again = await until_in(shop.app, ids[0], State.COMPLETED)
    assert (again.attempts_made, again.failed_reason) == (2, None)

    assert await board.put("paint", done, "retry") == 204
    await until(lambda: shop.ran.count("red") == 2, "the completed one to run again")

    answer = await board.ask("PUT", "queues/paint/retry/failed")
    assert answer.body["retried"] == 2
    await until(lambda: shop.ran.count("none") == 5, "the others to run again")


async def test_delayed_jobs_are_promoted(shop: Shop, board: Board) -> None:
    later = JobOptions(delay_s=600)
    ids = [await shop.add(colour, later) for colour in ("red", "green", "blue")]

    assert await board.put("paint", ids[1], "promote") == 204
    await until_in(shop.app, ids[1], State.COMPLETED)
    assert shop.ran == ["green"]

    assert await board.put("paint", "promote") == 200
    for job_id in ids:
        await until_in(shop.app, job_id, State.COMPLETED)
    assert shop.ran == ["green", "red", "blue"]


async def test_old_jobs_are_cleaned_and_young_ones_kept(
    redis_url: str, node: Node, board: Board
) -> None:
    """Bull Board leaves what is younger than five seconds."""
    a_minute_ago = ManualClock(now_ms=round((time.time() - 60) * 1000))
    async with App(redis_url, clock=a_minute_ago) as past:
        shop = Shop(past)
        async with past.worker(queues=["paint"]):
            completed, failed = await shop.add("red"), await shop.add("none")
            await until_in(past, completed, State.COMPLETED)
            await until_in(past, failed, State.FAILED)
        await shop.add("gold", JobOptions(delay_s=600))
    async with App(redis_url) as app:
        shop = Shop(app)
        async with app.worker(queues=["paint"]):
            young = await shop.add("blue")
            await until_in(app, young, State.COMPLETED)

            for status in ("completed", "failed", "delayed"):
                assert await board.put("paint", "clean", status) == 200

        info = await app.queue("paint").info()
        assert info is not None
        assert (info.completed, info.failed, info.delayed) == (1, 0, 0)
        assert (await app.queue("paint").job(young).info()).result == {"painted": "blue"}


async def test_jobs_are_removed_but_not_what_runs(shop: Shop, board: Board) -> None:
    running = await shop.add("slow")
    await until_in(shop.app, running, State.ACTIVE)
    waiting, urgent = await shop.add("red"), await shop.add("grey", JobOptions(priority=1))
    later = await shop.add("gold", JobOptions(delay_s=600))

    assert await board.put("paint", running, "clean") == 409
    for job_id in (waiting, urgent, later):
        assert await board.put("paint", job_id, "clean") == 204
    shop.go_on.set()

    await until_in(shop.app, running, State.COMPLETED)
    info = await shop.app.queue("paint").info()
    assert info is not None
    assert (info.waiting, info.prioritized, info.delayed, info.completed) == (0, 0, 0, 1)
    assert shop.ran == ["slow"]


async def test_paused_queue_stands_still_until_resumed(shop: Shop, board: Board) -> None:
    queue = shop.app.queue("paint")

    assert await board.put("paint", "pause") == 200
    added = await board.post(
        "paint",
        "add",
        body={"name": "cars", "data": {"colour": "red"}, "options": {"priority": 2}},
    )
    urgent = await board.post("paint", "add", body={"name": "cars", "data": {"colour": "blue"}})
    info = await queue.info()
    assert info is not None
    assert (info.paused, info.waiting, info.prioritized) == (True, 1, 1)
    assert (added["status"], shop.ran) == ("prioritized", [])

    assert await board.put("resume") == 200
    for job in (added, urgent):
        await until_in(shop.app, job["job"]["id"], State.COMPLETED)
    assert shop.ran == ["blue", "red"]

    assert await board.put("pause") == 200
    info = await queue.info()
    assert info is not None
    assert info.paused


async def test_jobs_are_edited_and_a_line_is_emptied(shop: Shop, board: Board) -> None:
    queue = shop.app.queue("paint")
    await until_in(shop.app, await shop.add("slow"), State.ACTIVE)
    edited, other = await shop.add("red"), await shop.add("green")
    later = await shop.add("gold", JobOptions(delay_s=600))

    body: dict[str, object] = {"jobData": {"colour": "blue"}}
    assert await board.patch("paint", edited, "update-data", body=body) == 200
    assert await board.patch("paint", edited, "priority", body={"priority": 3}) == 200
    run_at_ms = round((time.time() + 60) * 1000)
    assert await board.patch("paint", later, "delay", body={"runAt": run_at_ms}) == 200
    info = await queue.job(edited).info()
    assert (info.data, info.priority, info.state) == ({"colour": "blue"}, 3, State.PRIORITIZED)
    info = await queue.job(later).info()
    assert info.run_at is not None
    assert info.run_at.timestamp() == pytest.approx(run_at_ms / 1000, abs=5)

    shop.go_on.set()
    await until_in(shop.app, edited, State.COMPLETED)
    assert shop.ran == ["slow", "green", "blue"]
    await queue.pause()
    await shop.add("red")
    assert await board.put("paint", "empty") == 200
    seen = await queue.info()
    assert seen is not None
    assert (seen.waiting, seen.delayed, seen.completed) == (0, 1, 3)
    assert await board.put("paint", "obliterate", body={"force": True}) == 200
    assert await queue.info() is None
    assert other not in [job["id"] for job in (await board.queue("paint"))["jobs"]]


async def test_limits_set_on_the_board_are_ours(shop: Shop, board: Board) -> None:
    queue = shop.app.queue("paint")

    assert await board.put("paint", "concurrency", body={"concurrency": 2}) == 200
    body = {"max": 5, "duration": 30_000}
    assert await board.put("paint", "rate-limit", body=body) == 200
    info = await queue.info()
    assert info is not None
    assert (info.concurrency, info.rate_limit, info.rate_window_s) == (2, 5, 30.0)

    await queue.hold(600)
    assert (await board.queue("paint"))["activeRateLimitTtl"] > 500_000
    held = await shop.add("red")
    assert shop.ran == []
    assert await board.put("paint", "rate-limit", "release") == 200
    await queue.set_rate(None)  # which wakes the worker: a board's release tells nobody
    await until_in(shop.app, held, State.COMPLETED)
    await queue.set_concurrency(None)
    seen = await board.queue("paint")
    assert (seen["globalConcurrency"], seen["activeRateLimitTtl"]) == (None, 0)
    assert (await board.get("paint", "rate-limit"))["rateLimit"] is None
