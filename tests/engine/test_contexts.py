"""What one job sets in its context, no other job sees: each attempt begins in a copy of its own."""

from __future__ import annotations

import asyncio
import contextvars
import decimal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.engine.working import memory_app

from toril import App, Call, Context, HookEvent, RetryPolicy, Settings

tenant = contextvars.ContextVar("tenant", default="none")
AGAIN = RetryPolicy(max_attempts=3, base_s=0)


@pytest.fixture(params=["memory", "redis"])
async def app(request: pytest.FixtureRequest, no_thread_left: None) -> AsyncIterator[App]:
    if request.param == "memory":
        made = memory_app()
    else:
        made = App(request.getfixturevalue("redis_url"), settings=Settings())
    async with made as app:
        yield app


def seen() -> list[Any]:
    return [tenant.get(), decimal.getcontext().prec]


def spoil() -> None:
    tenant.set("of another job")
    decimal.getcontext().prec = 3


def task_of(app: App, run_in: str) -> Any:
    async def on_loop(n: int) -> list[Any]:
        found = seen()
        spoil()
        await asyncio.sleep(0)
        return found

    def in_thread(n: int) -> list[Any]:
        found = seen()
        spoil()
        return found

    function: Any = on_loop if run_in == "loop" else in_thread
    return app.task(name=run_in)(function)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("run_in", ["loop", "thread"])
async def test_a_job_sees_what_the_worker_started_with(
    app: App, run_in: str, concurrency: int
) -> None:
    """With one slot, each job saw the tenant of the job before, and its decimal precision."""
    task = task_of(app, run_in)
    jobs = [await task.enqueue(n=n) for n in range(6)]

    token = tenant.set("the worker's")
    async with app.worker(concurrency=concurrency):
        tenant.reset(token)
        found = [await job.result(timeout_s=60) for job in jobs]
        late = await task.enqueue(n=7)
        found.append(await late.result(timeout_s=60))

    assert found == [["the worker's", 28]] * 7


async def test_an_attempt_does_not_see_what_the_one_before_has_set(app: App) -> None:
    found: list[list[Any]] = []

    @app.task(retry=AGAIN)
    async def work() -> None:
        found.append(seen())
        spoil()
        raise ValueError

    await work.enqueue()
    await app.worker(concurrency=1).run(until_idle=True)

    assert found == [["none", 28]] * 3


async def test_what_middleware_sets_a_task_sees_wherever_it_runs(app: App) -> None:
    @app.middleware
    async def bound(context: Context, call: Call) -> object:
        tenant.set(f"job {context.job_id}")
        return await call()

    tasks = [task_of(app, run_in) for run_in in ("loop", "thread")]
    jobs = [await task.enqueue(n=n) for n in range(2) for task in tasks]
    async with app.worker(concurrency=1):
        found = [await job.result(timeout_s=60) for job in jobs]

    assert found == [[f"job {job.id}", 28] for job in jobs]


async def test_hooks_see_no_job_s_context_but_its_own(app: App) -> None:
    found: list[str] = []

    @app.on("completed")
    def note(event: HookEvent) -> None:
        found.append(tenant.get())

    task = task_of(app, "loop")
    await task.enqueue_many({"n": n} for n in range(3))
    await app.worker(concurrency=1).run(until_idle=True)

    assert found == ["none"] * 3
