"""From the moment a job is due to be added to the first line of its task."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.isolated import measure
from benchmarks.latencies import percentiles_ms
from benchmarks.order import Order, Values
from benchmarks.pace import due_moments_ns
from benchmarks.toril_figures.noops import samples
from benchmarks.toril_figures.stage import completed, opened, working
from toril import App, Job


async def one_process(order: Order, folder: Path) -> Values:
    """Producer and worker on one event loop."""
    async with opened(order, folder) as app, working(app, order.concurrency) as running:
        await _send(app, order)
        await completed(app, order.warm_up + order.jobs, running)
    return percentiles_ms(samples, warm_up=order.warm_up)


async def two_processes(order: Order, folder: Path) -> Values:
    """The worker here, the producer in another process."""
    async with opened(order, folder) as app, working(app, order.concurrency) as running:
        producing = msgspec.structs.replace(order, work="pickup.produce")
        await asyncio.to_thread(measure, producing, folder)
        await completed(app, order.warm_up + order.jobs, running)
    return percentiles_ms(samples, warm_up=order.warm_up)


async def produce(order: Order, folder: Path) -> Values:
    """The producer of `two_processes`."""
    async with opened(order, folder) as app:
        await _send(app, order)
    return {"jobs": order.warm_up + order.jobs}


async def _send(app: App, order: Order) -> None:
    """Add jobs on schedule, without a wait for the ones before; return once all are stored.

    A thread keeps the time: the timers of event loops are coarse (uvloop's: 1 ms), and a loop that
    is blocked must not stop the clock. To the loop each job comes like a request from a socket.
    """
    task = app.find_task("pick-up")
    loop = asyncio.get_running_loop()
    adding: list[asyncio.Task[Job[Any]]] = []
    count = order.warm_up + order.jobs

    def add(due_ns: int) -> None:
        adding.append(loop.create_task(task.enqueue(due_ns)))

    def keep_time() -> None:
        for due_ns in due_moments_ns(order.per_s, count):
            loop.call_soon_threadsafe(add, due_ns)

    thread = threading.Thread(target=keep_time, name="schedule", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)  # the last call from the thread is run before this goes on
    await asyncio.gather(*adding)
