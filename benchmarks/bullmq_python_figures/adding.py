"""Adding jobs: one by one, by many at the same time, and in bulk. No worker runs."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.bullmq_python_figures.stage import add, opened
from benchmarks.order import Order, Values


async def alone(order: Order, where: str) -> Values:
    """One producer, which awaits each job."""
    return await _adding(order, where)


async def concurrent(order: Order, where: str) -> Values:
    """Many producers in one process, each of which awaits its own jobs."""
    return await _adding(order, where)


async def bulk(order: Order, where: str) -> Values:
    """Calls of `addBulk`, one after the other."""
    async with opened(where) as queue:
        await add(queue, order.warm_up)
        begin_s = time.perf_counter()
        await add(queue, order.jobs)
        return {"per_s": order.jobs / (time.perf_counter() - begin_s)}


async def fill(order: Order, where: str) -> Values:
    """Add a backlog, for a measurement in another process."""
    async with opened(where) as queue:
        await add(queue, order.jobs)
    return {"jobs": order.jobs}


async def _adding(order: Order, where: str) -> Values:
    async with opened(where) as queue:
        await _produce(queue, order.warm_up, order.producers)
        begin_s = time.perf_counter()
        added = await _produce(queue, order.jobs, order.producers)
        return {"per_s": added / (time.perf_counter() - begin_s)}


async def _produce(queue: Any, count: int, producers: int) -> int:
    each = max(1, count // producers)

    async def producer() -> None:
        for i in range(each):
            await queue.add("noop", {"i": i})

    await asyncio.gather(*(producer() for _ in range(producers)))
    return each * producers
