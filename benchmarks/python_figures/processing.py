"""Processing a backlog of no-op jobs with worker processes."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from benchmarks.order import Order, Values
from benchmarks.python_figures.adding import fill, fill_async
from benchmarks.python_figures.stage import BlockingQueue, load
from benchmarks.python_figures.tally import new_tally, per_s
from benchmarks.python_figures.working import working


def backlog(order: Order, where: str) -> Values | Coroutine[Any, Any, Values]:
    """Jobs per second, from when all workers are warm to the last run.

    The backlog is there before a worker is started; the jobs of the warm-up are the first of it.
    """
    opened = load(order, where).opened()
    if isinstance(opened, BlockingQueue):
        fill(opened, order.warm_up + order.jobs)
        return _process(order, where)
    return _fill_and_process(opened, order, where)


async def _fill_and_process(opened: Any, order: Order, where: str) -> Values:
    async with opened as queue:
        await fill_async(queue, order.warm_up + order.jobs)
        if queue.settle is not None:
            await queue.settle()
    return _process(order, where)


def _process(order: Order, where: str) -> Values:
    with new_tally() as tally, working(order, where, tally) as check:
        tally.wait(order.warm_up + order.jobs, check)
        return {"per_s": per_s(tally.runs(), warm_up=order.warm_up)}
