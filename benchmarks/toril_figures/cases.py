"""Processing a backlog of jobs that do, carry or leave something."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.cases import Case
from benchmarks.order import Order, Values
from benchmarks.toril_figures.laden import bundle, task_of
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import CHUNK, completed, opened, working
from toril import App, RateLimit, Task

NEVER_REACHED = 1_000_000
"""Jobs at once, and starts in a second."""


async def backlog(order: Order, where: str) -> Values:
    """Jobs per second, as with those that do nothing."""
    async with opened(order, where) as app:
        app.include(bundle)
        await switch(app, order.case)
        task, payload = task_of(app, order.case)
        async with working(app, order.concurrency) as running:
            queue = app.queue(QUEUE)
            await add_many(task, payload, order.warm_up)
            await completed(app, order.warm_up, running)
            await queue.pause()
            await add_many(task, payload, order.jobs)
            begin_s = time.perf_counter()
            await queue.resume()
            await completed(app, order.warm_up + order.jobs, running)
            return {"per_s": order.jobs / (time.perf_counter() - begin_s)}


async def carried(order: Order, where: str) -> Values:
    """Adds per second of many producers in this process, then jobs per second of a worker."""
    async with opened(order, where) as app:
        app.include(bundle)
        task, payload = task_of(app, order.case)
        async with working(app, order.concurrency) as running:
            queue = app.queue(QUEUE)
            await add_many(task, payload, order.warm_up)
            await completed(app, order.warm_up, running)
            await queue.pause()
            begin_s = time.perf_counter()
            added = await _produce(task, payload["load"], order)
            add_per_s = added / (time.perf_counter() - begin_s)
            begin_s = time.perf_counter()
            await queue.resume()
            await completed(app, order.warm_up + added, running)
            return {"add_per_s": add_per_s, "per_s": added / (time.perf_counter() - begin_s)}


async def switch(app: App, case: Case) -> None:
    """Set the queue up as a case has it."""
    queue = app.queue(QUEUE)
    if case.told != "all":
        await queue.set_events(case.told)
    if case.limited:
        await queue.set_concurrency(NEVER_REACHED)
        await queue.set_rate(RateLimit(limit=NEVER_REACHED))


async def add_many(task: Task[Any, Any], payload: dict[str, Any], count: int) -> None:
    """Add jobs that are all the same, in bulk."""
    for start in range(0, count, CHUNK):
        await task.enqueue_many([payload] * min(CHUNK, count - start))


async def _produce(task: Task[Any, Any], load: str, order: Order) -> int:
    each = max(1, order.jobs // order.producers)

    async def producer() -> None:
        for _ in range(each):
            await task.enqueue(load)

    await asyncio.gather(*(producer() for _ in range(order.producers)))
    return each * order.producers
