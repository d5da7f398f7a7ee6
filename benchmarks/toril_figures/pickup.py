"""From the moment a job is due to be added to the first line of its task."""

from __future__ import annotations

import asyncio

import msgspec

from benchmarks.isolated import measure
from benchmarks.latencies import Sample
from benchmarks.order import Order, Values
from benchmarks.pace import send_on_schedule
from benchmarks.toril_figures.noops import samples
from benchmarks.toril_figures.stage import completed, opened, working
from toril import App


async def one_process(order: Order, where: str) -> list[Sample]:
    """Producer and worker on one event loop."""
    async with opened(order, where) as app, working(app, order.concurrency) as running:
        await _send(app, order)
        await completed(app, order.warm_up + order.jobs, running)
    return samples


async def two_processes(order: Order, where: str) -> list[Sample]:
    """The worker here, the producer in another process."""
    async with opened(order, where) as app, working(app, order.concurrency) as running:
        producing = msgspec.structs.replace(order, work="pickup.produce")
        await asyncio.to_thread(measure, producing, where)
        await completed(app, order.warm_up + order.jobs, running)
    return samples


async def produce(order: Order, where: str) -> Values:
    """The producer of `two_processes`."""
    async with opened(order, where) as app:
        await _send(app, order)
    return {"jobs": order.warm_up + order.jobs}


async def _send(app: App, order: Order) -> None:
    await send_on_schedule(app.find_task("pick-up").enqueue, order)
