"""Adding jobs: one by one, by many at the same time, and in bulk. No worker runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.order import Order, Values
from benchmarks.toril_figures.stage import add, opened
from toril import Task


async def alone(order: Order, where: str) -> Values:
    """One producer, which awaits each job."""
    return await _adding(order, where)


async def concurrent(order: Order, where: str) -> Values:
    """Many producers in one process, each of which awaits its own jobs."""
    return await _adding(order, where)


async def bulk(order: Order, where: str) -> Values:
    """One call of `enqueue_many`."""
    async with opened(order, where) as app:
        task = app.find_task("noop-loop")
        await task.enqueue_many([{"i": i} for i in range(order.warm_up)])
        payloads = [{"i": i} for i in range(order.jobs)]
        begin_s = time.perf_counter()
        await task.enqueue_many(payloads)
        return {"per_s": order.jobs / (time.perf_counter() - begin_s)}


async def fill(order: Order, where: str) -> Values:
    """Add a backlog, for a measurement in another process."""
    async with opened(order, where) as app:
        await add(app.find_task("noop-loop"), order.jobs)
    return {"jobs": order.jobs}


async def _adding(order: Order, where: str) -> Values:
    async with opened(order, where) as app:
        task = app.find_task("noop-loop")
        await _produce(task, order.warm_up, order.producers)
        begin_s = time.perf_counter()
        added = await _produce(task, order.jobs, order.producers)
        return {"per_s": added / (time.perf_counter() - begin_s)}


async def _produce(task: Task[Any, Any], count: int, producers: int) -> int:
    each = max(1, count // producers)

    async def producer() -> None:
        for i in range(each):
            await task.enqueue(i)

    await asyncio.gather(*(producer() for _ in range(producers)))
    return each * producers
