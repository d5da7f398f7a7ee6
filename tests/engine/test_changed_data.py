"""`Context.update_data`: what a task keeps for its next attempt, on both stores."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import ONCE, working
from tests.support.waiting import wait_until

from toril import (
    App,
    Context,
    InvalidOptionError,
    InvalidPayloadError,
    LeaseLostError,
    PayloadTooLargeError,
    RetriedJob,
    RetryPolicy,
    Settings,
    State,
)

AGAIN = RetryPolicy(max_attempts=4, base_s=0)


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db"


@pytest.fixture
async def app(url: str, no_thread_left: None) -> AsyncIterator[App]:
    async with App(url, settings=Settings()) as app:
        yield app


@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_the_next_attempt_goes_on_where_the_last_one_was(app: App, run_in: str) -> None:
    seen: list[int] = []

    async def on_loop(context: Context, step: int) -> int:
        seen.append(step)
        if step == 3:
            return context.attempt
        await context.update_data({"step": step + 1})
        assert (context.data, context.raw_data) == ({"step": step + 1}, f'{{"step":{step + 1}}}')
        raise OSError("not yet")

    def in_thread(context: Context, step: int) -> int:
        seen.append(step)
        if step == 3:
            return context.attempt
        context.update_data_sync({"step": step + 1})
        raise OSError("not yet")

    task: Any = app.task(name="walk", retry=AGAIN)(on_loop if run_in == "loop" else in_thread)
    job = await task.enqueue(step=0)
    async with working(app):
        assert await job.result(timeout_s=60) == 4

    assert seen == [0, 1, 2, 3]
    assert (await job.info()).data == {"step": 3}


async def test_a_worker_that_takes_over_gets_the_new_payload(app: App, url: str) -> None:
    """What was said before the worker was lost is there, though no outcome was."""
    told = asyncio.Event()

    @app.task(retry=AGAIN)
    async def walk(context: Context, step: int) -> int:
        if step == 0:
            await context.update_data({"step": 1})
            told.set()
            await asyncio.sleep(3600)
        return step

    async with App(url, settings=Settings()) as other:
        job = await walk.enqueue(step=0)
        async with working(app, max_stalled=9, lease=0.5) as worker:
            await told.wait()
            await other.declare_dead(worker.id, max_stalled=9)
            assert await job.result(timeout_s=60) == 1


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ({"step": "x"}, InvalidPayloadError, "field 'step'"),
        ({}, InvalidPayloadError, "'step'"),
        ({"step": object()}, InvalidPayloadError, "payload"),
        ({"step": 1, "pad": "ä" * 120}, PayloadTooLargeError, "max_payload_bytes=200"),
    ],
)
async def test_a_payload_that_no_attempt_could_take_is_refused(
    app: App, data: Any, kind: type[Exception], words: str
) -> None:
    @app.task(retry=ONCE, max_payload_bytes=200)
    async def walk(context: Context, step: int) -> str:
        try:
            await context.update_data(data)
        except kind as error:
            return str(error)
        return "not refused"

    job = await walk.enqueue(step=0)
    async with working(app):
        assert words in await job.result(timeout_s=60)
    assert (await job.info()).data == {"step": 0}


async def test_an_attempt_that_lost_its_job_changes_nothing(app: App, url: str) -> None:
    found: list[BaseException] = []
    began, lost = asyncio.Event(), asyncio.Event()

    @app.task(retry=AGAIN)
    async def walk(context: Context, step: int) -> None:
        if began.is_set():
            return
        began.set()
        await lost.wait()
        try:
            await context.update_data({"step": 1})
        except LeaseLostError as error:
            found.append(error)
            raise

    async with App(url, settings=Settings()) as other:
        job = await walk.enqueue(step=0)
        async with working(app, max_stalled=9) as worker:
            await began.wait()
            worker.pause()
            await wait_until(lambda: worker._fetcher and not worker._fetcher.awaits_reply)
            await other.declare_dead(worker.id, max_stalled=9)
            lost.set()
            await wait_until(lambda: found)
            assert await job.state() is State.WAIT
    assert (await job.info()).data == {"step": 0}
    assert "this attempt holds it no more" in str(found[0])


async def test_a_task_on_the_loop_is_told_to_await(app: App) -> None:
    @app.task(retry=ONCE)
    async def walk(context: Context, step: int) -> str:
        with pytest.raises(InvalidOptionError, match="Await the one without it"):
            context.update_data_sync({"step": 1})
        return "told"

    job = await walk.enqueue(step=0)
    async with working(app):
        assert await job.result(timeout_s=60) == "told"


async def test_a_retry_rule_is_told_the_new_payload(app: App) -> None:
    told: list[Any] = []

    def wait(made: int, error: BaseException, job: RetriedJob) -> float | None:
        told.append(job.data)
        return None

    @app.task(retry=RetryPolicy(wait=wait))
    async def walk(context: Context, step: int) -> None:
        await context.update_data({"step": 5})
        raise OSError

    await walk.enqueue(step=0)
    await app.worker().run(until_idle=True)
    assert told == [{"step": 5}]


async def test_many_attempts_change_their_payloads_beside_each_other(app: App) -> None:
    lock = threading.Lock()
    done: dict[int, int] = {}

    @app.task(retry=AGAIN)
    def walk(context: Context, number: int, step: int) -> None:
        if step < 2:
            context.log(f"step {step}")
            context.update_data_sync({"number": number, "step": step + 1})
            raise OSError
        with lock:
            done[number] = context.attempt

    await walk.enqueue_many([{"number": number, "step": 0} for number in range(30)])
    async with working(app, concurrency=8):
        await wait_until(lambda: len(done) == 30)
    assert set(done.values()) == {3}
