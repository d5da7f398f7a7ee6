"""From the moment a job is due to be added to the first line of its task."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from benchmarks.latencies import Sample
from benchmarks.order import Order
from benchmarks.pace import due_moments_ns, send_on_schedule
from benchmarks.python_figures.stage import BlockingQueue, load
from benchmarks.python_figures.tally import Tally, new_tally
from benchmarks.python_figures.working import working

SETTLE_S = 1.0
"""After the first run: another worker process may still be on its way."""


def two_processes(order: Order, where: str) -> list[Sample] | Coroutine[Any, Any, list[Sample]]:
    """The producer here, the workers in processes of their own."""
    opened = load(order, where).opened()
    if not isinstance(opened, BlockingQueue):
        return _two_processes_async(opened, order, where)
    with new_tally() as tally, working(order, where, tally) as check:
        opened.pick_up(time.monotonic_ns())
        tally.wait(1, check)
        time.sleep(SETTLE_S)
        sending = threading.Thread(target=_send, args=(opened, order), daemon=True)
        sending.start()
        sending.join()
        return _samples(order, tally, check)


async def _two_processes_async(opened: Any, order: Order, where: str) -> list[Sample]:
    with new_tally() as tally:
        async with opened as queue:
            with working(order, where, tally) as check:
                await queue.pick_up(time.monotonic_ns())
                await asyncio.to_thread(tally.wait, 1, check)
                await asyncio.sleep(SETTLE_S)
                await send_on_schedule(queue.pick_up, order)
                return await asyncio.to_thread(_samples, order, tally, check)


def _send(queue: BlockingQueue, order: Order) -> None:
    for due_ns in due_moments_ns(order.per_s, order.warm_up + order.jobs):
        queue.pick_up(due_ns)


def _samples(order: Order, tally: Tally, check: Callable[[], None]) -> list[Sample]:
    """Return all but that of the job by which a worker was seen to be there."""
    tally.wait(1 + order.warm_up + order.jobs, check)
    found = sorted((run.due_ns, run.at_ns - run.due_ns) for run in tally.runs())
    return found[1:]
