"""Adding jobs: one by one, by many at the same time, and in bulk. No worker runs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.order import Order, Values
from benchmarks.python_figures.stage import CHUNK, AsyncQueue, BlockingQueue, load


def alone(order: Order, where: str) -> Values | Coroutine[Any, Any, Values]:
    """One producer, which waits for each job."""
    return _adding(order, where)


def concurrent(order: Order, where: str) -> Values | Coroutine[Any, Any, Values]:
    """Many producers in one process, each of which waits for its own jobs."""
    return _adding(order, where)


def bulk(order: Order, where: str) -> Values | Coroutine[Any, Any, Values]:
    """Calls that add many each, one after the other."""
    return _adding(order, where, in_bulk=True)


def fill(queue: BlockingQueue, count: int) -> None:
    """Add a backlog in the fastest way."""
    if queue.add_many is None:
        for i in range(count):
            queue.add(i)
        return
    for start in range(0, count, CHUNK):
        queue.add_many(range(start, min(start + CHUNK, count)))


async def fill_async(queue: AsyncQueue, count: int, producers: int = 100) -> None:
    """Add a backlog in the fastest way."""
    if queue.add_many is None:
        await _produce_async(queue, count, min(producers, count))
        return
    for start in range(0, count, CHUNK):
        await queue.add_many(range(start, min(start + CHUNK, count)))


def _adding(
    order: Order, where: str, *, in_bulk: bool = False
) -> Values | Coroutine[Any, Any, Values]:
    opened = load(order, where).opened()
    if not isinstance(opened, BlockingQueue):
        return _adding_async(opened, order, in_bulk=in_bulk)
    for count in (order.warm_up, order.jobs):
        begin_s = time.perf_counter()
        if in_bulk:
            fill(opened, count)
        else:
            _produce(opened, count, order.producers)
        elapsed_s = time.perf_counter() - begin_s
    return {"per_s": order.jobs / elapsed_s}


async def _adding_async(opened: Any, order: Order, *, in_bulk: bool) -> Values:
    async with opened as queue:
        for count in (order.warm_up, order.jobs):
            begin_s = time.perf_counter()
            if in_bulk:
                await fill_async(queue, count)
            else:
                await _produce_async(queue, count, order.producers)
            elapsed_s = time.perf_counter() - begin_s
    return {"per_s": order.jobs / elapsed_s}


def _produce(queue: BlockingQueue, count: int, producers: int) -> None:
    """Have threads add jobs, or this one, if it is one producer."""
    if producers == 1:
        for i in range(count):
            queue.add(i)
        return
    failures: list[Exception] = []

    def produce(numbers: range) -> None:
        try:
            for i in numbers:
                queue.add(i)
        except Exception as error:  # a thread's error is nobody's otherwise
            failures.append(error)

    threads = [
        threading.Thread(target=produce, args=(range(first, count, producers),), daemon=True)
        for first in range(producers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


async def _produce_async(queue: AsyncQueue, count: int, producers: int) -> None:
    async def produce(numbers: range) -> None:
        for i in numbers:
            await queue.add(i)

    shares = (range(first, count, producers) for first in range(producers))
    await asyncio.gather(*map(produce, shares))
