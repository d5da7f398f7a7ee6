"""One worker process against two, on the same backlog. The measuring process only looks on."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from benchmarks.isolated import start
from benchmarks.order import Order, Values
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import POLL_S, add, opened
from toril import App

READY = "ready"


async def workers(order: Order, where: str) -> Values:
    """Jobs per second of one worker process, of two, and how many times more that is."""
    async with opened(order, where) as app:
        one = await _rate(app, order, where, 1)
        two = await _rate(app, order, where, 2)
    return {"one_per_s": one, "two_per_s": two, "ratio": two / one}


async def serve(order: Order, where: str) -> Values:
    """Be one of the workers, until told to end."""
    async with opened(order, where) as app:
        worker = app.worker(queues=[QUEUE], concurrency=order.concurrency)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
        running = asyncio.create_task(worker.run())
        ready = asyncio.create_task(worker.ready())
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            print(READY, flush=True)
        ready.cancel()
        await running
    return {}


async def _rate(app: App, order: Order, where: str, processes: int) -> float:
    queue, task = app.queue(QUEUE), app.find_task("noop-loop")
    info = await queue.info()
    before = 0 if info is None else info.completed_total
    async with _serving(order, where, processes) as children:
        await add(task, order.warm_up)
        await _completed(app, before + order.warm_up, children)
        await queue.pause()
        await add(task, order.jobs)
        begin_s = time.perf_counter()
        await queue.resume()
        await _completed(app, before + order.warm_up + order.jobs, children)
        return order.jobs / (time.perf_counter() - begin_s)


@asynccontextmanager
async def _serving(
    order: Order, where: str, processes: int
) -> AsyncIterator[list[subprocess.Popen[str]]]:
    serving = msgspec.structs.replace(order, work="several.serve")
    children = [start(serving, where) for _ in range(processes)]
    try:
        for child in children:
            assert child.stdout is not None
            if (await asyncio.to_thread(child.stdout.readline)).strip() != READY:
                _, said = await asyncio.to_thread(child.communicate)
                raise RuntimeError(f"a worker process has not started: {said[-500:]}")
        yield children
    finally:
        for child in children:
            child.terminate()
        for child in children:
            await asyncio.to_thread(child.communicate)


async def _completed(app: App, count: int, children: list[subprocess.Popen[str]]) -> None:
    queue = app.queue(QUEUE)
    while (info := await queue.info()) is None or info.completed_total < count:
        if any(child.poll() is not None for child in children):
            raise RuntimeError("a worker process has ended")
        await asyncio.sleep(POLL_S)
