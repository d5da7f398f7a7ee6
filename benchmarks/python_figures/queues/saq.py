"""SAQ: coroutines in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue

from benchmarks.python_figures.queues.settings import CONCURRENCY, URL, use_uvloop
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
use_uvloop()
queue: Any = Queue.from_url(URL, name="bench")


async def noop(context: Any, *, i: int) -> None:
    note()


async def pick_up(context: Any, *, due_ns: int) -> None:
    note(due_ns)


functions: list[Any] = [noop, pick_up]
settings = {"queue": queue, "functions": functions, "concurrency": CONCURRENCY}


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    await queue.connect()
    try:
        yield AsyncQueue(
            add=lambda i: queue.enqueue("noop", i=i),
            pick_up=lambda due_ns: queue.enqueue("pick_up", due_ns=due_ns),
        )
    finally:
        await queue.disconnect()


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    return [["-m", "saq", f"{__name__}.settings"]]
