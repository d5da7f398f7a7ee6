"""Processing a backlog of no-op jobs, and how the memory of a worker behaves meanwhile."""

from __future__ import annotations

import asyncio
import time

import msgspec

from benchmarks.bullmq_python_figures.stage import Workers, add, opened
from benchmarks.isolated import measure
from benchmarks.order import Order, Values
from toril.core.process_memory import MIB, own_resident_bytes


async def backlog(order: Order, where: str) -> Values:
    """Jobs per second, from the start of a worker to when it knows that the last was completed.

    A first worker warms the process up, and is gone before the backlog is added.
    """
    async with opened(where) as queue:
        for jobs in (order.warm_up, order.jobs):
            await add(queue, jobs)
            async with Workers(where, order.concurrency) as workers:
                begin_s = time.perf_counter()
                workers.start()
                await workers.completed(jobs)
                elapsed_s = time.perf_counter() - begin_s
    return {"per_s": order.jobs / elapsed_s}


async def memory(order: Order, where: str) -> Values:
    """Resident memory of a worker's process, at shares of a long backlog from another process."""
    filling = msgspec.structs.replace(order, work="adding.fill")
    await asyncio.to_thread(measure, filling, where)
    found: Values = {}
    async with Workers(where, order.concurrency) as workers:
        workers.start()
        for percent in (10, 50, 100):
            await workers.completed(order.jobs * percent // 100)
            found[f"at_{percent}_mib"] = own_resident_bytes() / MIB
    return found
