"""What a worker costs that has nothing to do."""

from __future__ import annotations

import asyncio
import time

from benchmarks.commands import told_by, watching
from benchmarks.order import Order, Values
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import add, completed, opened, working

SETTLE_S = 2.0
"""Between the last job and the first look, in seconds, or the duration if that is shorter."""


async def worker(order: Order, where: str) -> Values:
    """CPU seconds per minute of all threads of a worker's process, some time after its last job.

    On Redis also the commands that the server ran meanwhile: nobody else uses it.
    """
    queues = [QUEUE, *(f"{QUEUE}-{number}" for number in range(1, order.queues))]
    async with (
        opened(order, where) as app,
        working(app, order.concurrency, queues) as running,
    ):
        await add(app.find_task("noop-loop"), order.warm_up)
        await completed(app, order.warm_up, running)
        await asyncio.sleep(min(SETTLE_S, order.duration_s))
        counting = await watching(where, order.duration_s) if order.store == "redis" else None
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        await asyncio.sleep(order.duration_s)
        cpu_s = time.process_time() - begin_cpu_s
        per_min = 60 * cpu_s / (time.perf_counter() - begin_s)
        return {"cpu_s_per_min": per_min, **(await told_by(counting) if counting else {})}
