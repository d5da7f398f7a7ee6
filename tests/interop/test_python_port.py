"""One queue, the official BullMQ for Python and Toril: each does its part with the other's jobs."""

from __future__ import annotations

import collections

import pytest
from tests.interop.watching import PATIENCE_S, check_each_done_once, until_completed, until_in
from tests.support.python_port import PythonPort

from toril import App, Context, JobFailedError, JobOptions, RetryPolicy, State

pytestmark = pytest.mark.timeout(600)  # the first one installs


async def test_port_adds_and_toril_works(app: App, port: PythonPort) -> None:
    @app.task(queue="paint", name="cars")
    async def cars(ctx: Context, colour: str) -> dict[str, str]:
        ctx.log(f"painting it {colour}")
        ctx.progress({"done": 50})
        return {"painted": colour}

    events = await port.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await port.add("paint", "cars", {"colour": "grün"})
        await events.wait_for("completed")

    (completed,) = events.named("completed")
    assert (completed["jobId"], completed["returnvalue"]) == (job_id, {"painted": "grün"})
    assert events.named("progress") == [{"jobId": job_id, "data": {"done": 50}}]
    assert await port.logs("paint", job_id) == ["painting it grün"]
    assert await port.call_job("paint", job_id, "isCompleted")
    job = await port.job("paint", job_id)
    assert (job["attemptsMade"], job["progress"], job["returnvalue"]) == (
        1,
        {"done": 50},
        {"painted": "grün"},
    )


async def test_toril_adds_and_port_works(app: App, port: PythonPort) -> None:
    await port.worker("paint", {"echo": True, "logs": ["from the port"], "progress": [10]})

    job = await app.queue("paint").add("cars", {"colour": "grün", "n": 2**40})

    assert await job.result(timeout_s=PATIENCE_S) == {"colour": "grün", "n": 2**40}
    info = await job.info()
    assert (info.state, info.attempts_made, info.progress) == (State.COMPLETED, 1, 10)
    assert await job.logs() == ["from the port"]


async def test_failures_are_seen_both_ways(app: App, port: PythonPort) -> None:
    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars() -> None:
        raise ValueError("no paint")

    events = await port.queue_events("paint")
    async with app.worker(queues=["paint"]):
        job_id = await port.add("paint", "cars", {}, attempts=2, backoff=10)
        await events.wait_for("failed")
    await port.worker("ships", {"throws": "no brush"})
    theirs = await app.queue("ships").add("hull", {}, JobOptions(max_attempts=2))

    assert events.named("failed")[0]["failedReason"] == "ValueError: no paint"
    assert await port.call_job("paint", job_id, "isFailed")
    seen = await port.job("paint", job_id)
    assert (seen["attemptsMade"], len(seen["stacktrace"])) == (2, 2)
    with pytest.raises(JobFailedError, match="no brush"):
        await theirs.result(timeout_s=PATIENCE_S)
    assert (await theirs.info()).attempts_made == 2


async def test_all_work_one_queue_and_each_job_is_done_once(app: App, port: PythonPort) -> None:
    """With priorities, delays and retries, added by both."""
    done: collections.Counter[str] = collections.Counter()

    @app.task(queue="shared", name="work", retry=RetryPolicy(max_attempts=3, base_s=0.01))
    async def work(ctx: Context, n: int) -> int:
        if n % 10 == 0 and ctx.attempt == 1:
            raise ValueError("once more")
        done[ctx.job_id] += 1
        return n

    queue = app.queue("shared")
    rows: list[tuple[str, object, dict[str, object]]] = [
        (
            "work",
            {"n": n},
            {"attempts": 3, "backoff": 10, "priority": n % 3, "delay": 20 if n % 7 == 0 else 0},
        )
        for n in range(500)
    ]
    ids = await port.add_bulk("shared", rows)
    behaviour = {"throws": "once more", "failures": 1, "every": 10, "echo": True}
    worker = await port.worker("shared", behaviour, concurrency=10)
    await worker.wait_for("completed", many=100)
    async with app.worker(queues=["shared"], concurrency=10):
        for n in range(500, 1_000):
            job = await queue.add("work", {"n": n}, JobOptions(priority=n % 3, max_attempts=3))
            ids.append(job.id)
        await until_completed(app, "shared", 1_000)

        await check_each_done_once(ids, done, worker)


async def test_port_operates_what_toril_works(app: App, port: PythonPort) -> None:
    ran: list[int] = []

    @app.task(queue="paint", name="cars", retry=RetryPolicy(max_attempts=1))
    async def cars(n: int) -> int:
        ran.append(n)
        if n == 1 and ran.count(1) == 1:
            raise ValueError("first time")
        return n

    async with app.worker(queues=["paint"]):
        failing = await app.queue("paint").add("cars", {"n": 1})
        await until_in(app, failing.id, State.FAILED)
        await port.retry("paint", failing.id)
        await until_in(app, failing.id, State.COMPLETED)

        later = await app.queue("paint").add("cars", {"n": 2}, JobOptions(delay_s=600))
        assert await port.state("paint", later.id) == "delayed"
        await port.promote("paint", later.id)
        await until_in(app, later.id, State.COMPLETED)

        await port.pause("paint")
        held = await app.queue("paint").add("cars", {"n": 3})
        gone = await app.queue("paint").add("cars", {"n": 4})
        assert (await port.counts("paint", "waiting"))["waiting"] == 2
        assert await port.remove("paint", gone.id) == 1
        await port.update_data("paint", held.id, {"n": 5})
        await port.resume("paint")
        await until_in(app, held.id, State.COMPLETED)

    assert ran == [1, 1, 2, 5]
    assert (await port.counts("paint", "completed", "failed")) == {"completed": 3, "failed": 0}


async def test_toril_operates_what_port_works(app: App, port: PythonPort) -> None:
    queue = app.queue("paint")
    worker = await port.worker("paint", {"throws": "once", "failures": 1, "returns": 1})
    failing = await port.add("paint", "cars")
    await worker.wait_for("failed")
    await queue.job(failing).retry(reset_attempts=False)
    await until_in(app, failing, State.COMPLETED)

    later = await port.add("paint", "cars", delay=600_000)
    await queue.job(later).promote()
    await worker.wait_for("failed", many=2)

    await queue.pause()
    assert await port.is_paused("paint")
    held = await port.add("paint", "cars")
    gone = await port.add("paint", "cars")
    await queue.job(gone).cancel("not wanted")
    assert await port.state("paint", gone) == "failed"
    assert (await port.job("paint", gone))["failedReason"] == "not wanted"
    assert await queue.job(gone).remove()
    assert await port.job("paint", gone) is None
    await queue.resume()
    await worker.wait_for("failed", many=3)
    assert worker.named("failed")[2]["id"] == held


async def test_job_of_a_killed_port_is_taken_back(
    app: App, port: PythonPort, redis_url: str
) -> None:
    @app.task(queue="paint", name="cars")
    async def cars() -> str:
        return "saved"

    async with await PythonPort.start(redis_url) as doomed:
        worker = await doomed.worker("paint", {"waits": True}, lockDuration=1_000)
        job = await cars.enqueue()
        await worker.wait_for("active")
        await doomed.kill()

    async with app.worker(queues=["paint"], sweep=0.3):
        assert await job.result(timeout_s=PATIENCE_S) == "saved"
    assert (await port.job("paint", job.id))["stalledCounter"] == 1
