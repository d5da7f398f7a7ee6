"""What workers cost that have nothing to do: one for each queue."""

from __future__ import annotations

import asyncio
import time

from benchmarks.bullmq_python_figures.stage import QUEUE, Workers, add, opened
from benchmarks.commands import told_by, watching
from benchmarks.order import Order, Values

SETTLE_S = 2.0
"""As for Toril."""


async def worker(order: Order, where: str) -> Values:
    """CPU seconds per minute of the process some time after its last job, and Redis' commands."""
    queues = [QUEUE, *(f"{QUEUE}-{number}" for number in range(1, order.queues))]
    async with Workers(where, order.concurrency, queues=queues) as workers:
        workers.start()
        async with opened(where) as queue:
            await add(queue, order.warm_up)
        await workers.completed(order.warm_up)
        await asyncio.sleep(min(SETTLE_S, order.duration_s))
        counting = await watching(where, order.duration_s)
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(order.duration_s)
        cpu_s = time.process_time() - begin_cpu_s
        per_min = 60 * cpu_s / (time.perf_counter() - begin_s)
        return {"cpu_s_per_min": per_min, **await told_by(counting)}
