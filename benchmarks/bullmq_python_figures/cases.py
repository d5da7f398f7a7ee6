"""Processing a backlog of jobs that wait for something, or carry something."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.bullmq_python_figures.stage import CHUNK, Workers, noop, opened
from benchmarks.order import Order, Values


async def backlog(order: Order, where: str) -> Values:
    """Jobs per second of jobs that wait."""

    async def wait(job: Any, token: str) -> None:
        await asyncio.sleep(order.case.wait_ms / 1000)

    async with opened(where) as queue:
        for jobs in (order.warm_up, order.jobs):
            await _add(queue, {"i": 1}, jobs)
            async with Workers(where, order.concurrency, wait) as workers:
                begin_s = time.perf_counter()
                workers.start()
                await workers.completed(jobs)
                elapsed_s = time.perf_counter() - begin_s
    return {"per_s": order.jobs / elapsed_s}


async def carried(order: Order, where: str) -> Values:
    """Adds per second of many producers in this process, then jobs per second of a worker."""
    data = {"load": "x" * order.case.payload_bytes}
    async with opened(where) as queue:
        await _add(queue, data, order.warm_up)
        await _work(order, where, order.warm_up)
        each = max(1, order.jobs // order.producers)

        async def producer() -> None:
            for _ in range(each):
                await queue.add("carry", data)

        begin_s = time.perf_counter()
        await asyncio.gather(*(producer() for _ in range(order.producers)))
        added = each * order.producers
        add_per_s = added / (time.perf_counter() - begin_s)
    return {"add_per_s": add_per_s, "per_s": added / await _work(order, where, added)}


async def _work(order: Order, where: str, jobs: int) -> float:
    """Return how many seconds a worker took for all that is there."""
    async with Workers(where, order.concurrency, noop) as workers:
        begin_s = time.perf_counter()
        workers.start()
        await workers.completed(jobs)
        return time.perf_counter() - begin_s


async def _add(queue: Any, data: dict[str, Any], count: int) -> None:
    for start in range(0, count, CHUNK):
        many = min(CHUNK, count - start)
        await queue.addBulk([{"name": "same", "data": data} for _ in range(many)])
