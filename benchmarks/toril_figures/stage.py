"""What the measurements stand on: an app on its own store, a worker at work, a queue to watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.order import Order
from benchmarks.toril_figures.noops import QUEUE, bundle
from toril import App, Settings, Task

POLL_S = 0.02
"""Between two looks at the count of completed jobs, in seconds."""
CHUNK = 20_000
"""Jobs of one `enqueue_many` where only the backlog counts: a million at once are much memory."""


@asynccontextmanager
async def opened(order: Order, where: str) -> AsyncIterator[App]:
    """Give an app on the store. Nothing of the environment is heeded.

    Parameters:
        order: What is measured.
        where: The folder of a store, or the URL of a server.
    """
    url = f"sqlite:///{where}/toril.db" if order.store == "sqlite" else where
    app = App(url, durability=order.durability, settings=Settings())
    app.include(bundle)
    async with app:
        yield app


@asynccontextmanager
async def working(
    app: App, concurrency: int, queues: Sequence[str] = (QUEUE,)
) -> AsyncIterator[asyncio.Task[None]]:
    """Give a worker at work, with the defaults in all but its concurrency."""
    worker = app.worker(queues=queues, concurrency=concurrency)
    running = asyncio.create_task(worker.run())
    ready = asyncio.create_task(worker.ready())
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    try:
        yield running
    finally:
        ready.cancel()
        worker.stop()
        await running


async def add(task: Task[Any, Any], count: int) -> None:
    """Add jobs in bulk."""
    for start in range(0, count, CHUNK):
        await task.enqueue_many({"i": i} for i in range(start, min(start + CHUNK, count)))


async def completed(app: App, count: int, running: asyncio.Task[None]) -> None:
    """Return once so many jobs were completed, as far as the store knows.

    Raises:
        RuntimeError: A job failed, or the worker ended.
    """
    queue = app.queue(QUEUE)
    while (info := await queue.info()) is None or info.completed_total < count:
        if running.done():
            raise RuntimeError("the worker ended")
        if info is not None and info.failed_total:
            raise RuntimeError(f"{info.failed_total} jobs failed")
        await asyncio.sleep(POLL_S)
