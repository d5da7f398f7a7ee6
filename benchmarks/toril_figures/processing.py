"""Processing a backlog of no-op jobs, and how the memory of a worker behaves meanwhile."""

from __future__ import annotations

import asyncio
import time

import msgspec

from benchmarks.isolated import measure
from benchmarks.order import Order, Values
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import add, completed, opened, working
from toril.core.process_memory import MIB, own_resident_bytes


async def backlog(order: Order, where: str) -> Values:
    """Jobs per second, from the moment the queue is opened to the last completion in the store.

    The worker is warm: it has run some jobs of the same kind, so its threads and child processes
    are there. The queue is paused while the backlog is added in the same process.
    """
    async with opened(order, where) as app, working(app, order.concurrency) as running:
        task = app.find_task(f"noop-{order.run_in}")
        queue = app.queue(QUEUE)
        await add(task, order.warm_up)
        await completed(app, order.warm_up, running)
        await queue.pause()
        await add(task, order.jobs)
        begin_s = time.perf_counter()
        await queue.resume()
        await completed(app, order.warm_up + order.jobs, running)
        return {"per_s": order.jobs / (time.perf_counter() - begin_s)}


async def memory(order: Order, where: str) -> Values:
    """Resident memory of a worker's process, at shares of a long backlog.

    Another process adds the backlog, so that what adding takes is not counted.
    """
    filling = msgspec.structs.replace(order, work="adding.fill")
    await asyncio.to_thread(measure, filling, where)
    found: Values = {}
    async with opened(order, where) as app, working(app, order.concurrency) as running:
        for percent in (10, 50, 100):
            await completed(app, order.jobs * percent // 100, running)
            found[f"at_{percent}_mib"] = own_resident_bytes() / MIB
    return found
