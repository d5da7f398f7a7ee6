"""What the event loop takes for the least that can be done with it."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from benchmarks.budget.rows import Row, median_us
from benchmarks.loop import loop_factory, loop_name

MANY = 20_000
TURNS = 1_000


async def _nothing() -> None:
    pass


async def _awaits() -> float:
    begin_s = time.perf_counter()
    for _ in range(MANY):
        await _nothing()
    return (time.perf_counter() - begin_s) / MANY


async def _tasks() -> float:
    loop = asyncio.get_running_loop()
    begin_s = time.perf_counter()
    for _ in range(MANY // 100):
        await asyncio.gather(*(loop.create_task(_nothing()) for _ in range(100)))
    return (time.perf_counter() - begin_s) / MANY


async def _hand_overs() -> float:
    """To a thread that sleeps, and back."""
    loop = asyncio.get_running_loop()
    asked: queue.SimpleQueue[asyncio.Future[None] | None] = queue.SimpleQueue()

    def answer() -> None:
        while (future := asked.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=answer)
    thread.start()
    begin_s = time.perf_counter()
    for _ in range(TURNS):
        future: asyncio.Future[None] = loop.create_future()
        asked.put(future)
        await future
    took_s = (time.perf_counter() - begin_s) / TURNS
    asked.put(None)
    thread.join()
    return took_s


def rows() -> list[Row]:
    """Measure."""
    kinds: list[tuple[str, Callable[[], Coroutine[Any, Any, float]]]] = [
        ("await a coroutine that does nothing", _awaits),
        ("run one as a task, 100 at once", _tasks),
        ("from the loop to a thread and back", _hand_overs),
    ]
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return [
            Row(f"{part} ({loop_name()})", median_us(partial(_run, runner, act)), None)
            for part, act in kinds
        ]


def _run(runner: asyncio.Runner, act: Callable[[], Coroutine[Any, Any, float]]) -> float:
    return runner.run(act())
