"""A task learns why it has to end: from its `CancelledError`, and from its context."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine.working import ONCE, file_app, memory_app, working
from tests.support.waiting import wait_until

from toril import App, Context, State

Why = tuple[str | None, str | None, tuple[Any, ...]]
"""The context's kind and reason, and the arguments of the `CancelledError`."""


@pytest.fixture
async def app(no_thread_left: None) -> AsyncIterator[App]:
    async with memory_app() as app:
        yield app


def waiting_task(app: App, found: list[Why], began: threading.Event, **options: Any) -> Any:
    """Return a task that waits until it is cancelled, and notes why it was."""

    async def wait(context: Context) -> None:
        assert (context.cancel_kind, context.cancel_reason) == (None, None)
        began.set()
        try:
            async with asyncio.timeout(3600):
                await asyncio.gather(asyncio.sleep(3600))
        except asyncio.CancelledError as error:
            found.append((context.cancel_kind, context.cancel_reason, error.args))
            raise

    return app.task(retry=ONCE, **options)(wait)


async def test_a_coroutine_learns_that_its_job_was_cancelled(app: App) -> None:
    found: list[Why] = []
    began = threading.Event()
    task = waiting_task(app, found, began)

    job = await task.enqueue()
    async with working(app, lease=0.3):
        await wait_until(began.is_set)
        await job.cancel("the user left")
        await wait_until(lambda: found)

    assert found == [("cancelled", "the user left", ("the user left",))]


async def test_a_coroutine_learns_that_its_time_is_up(app: App) -> None:
    found: list[Why] = []
    task = waiting_task(app, found, threading.Event(), timeout=0.2)

    await task.enqueue()
    await app.worker().run(until_idle=True)

    reason = "ran longer than timeout_s=0.2"
    assert found == [("timeout", reason, (reason,))]


async def test_a_coroutine_learns_that_its_worker_stops(app: App) -> None:
    found: list[Why] = []
    began = threading.Event()
    task = waiting_task(app, found, began)

    job = await task.enqueue()
    async with working(app):
        await wait_until(began.is_set)

    reason = "the worker is stopping"
    assert found == [("released", reason, (reason,))]
    assert await job.state() is State.WAIT


async def test_a_coroutine_learns_that_its_lease_was_lost(
    tmp_path: Path, no_thread_left: None
) -> None:
    found: list[Why] = []
    began = threading.Event()
    async with file_app(tmp_path) as app, file_app(tmp_path) as other:
        task = waiting_task(app, found, began)
        await task.enqueue()
        async with working(app, lease=0.3) as worker:
            await wait_until(began.is_set)
            worker.pause()
            await other.declare_dead(worker.id, max_stalled=9)
            await wait_until(lambda: found)

    assert found == [("lease_lost", "the lease was lost", ("the lease was lost",))]


async def test_a_thread_reads_why_it_has_to_end(app: App) -> None:
    found: list[tuple[str | None, str | None]] = []
    began = threading.Event()

    @app.task(retry=ONCE)
    def wait(context: Context) -> None:
        began.set()
        while not context.cancelled:
            pass
        found.append((context.cancel_kind, context.cancel_reason))

    job = await wait.enqueue()
    async with working(app, lease=0.3):
        await wait_until(began.is_set)
        await job.cancel("the user left")
        await wait_until(lambda: found)

    assert found == [("cancelled", "the user left")]
