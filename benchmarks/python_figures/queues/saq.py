"""SAQ: processes of coroutines.

Its documentation has more processes for more cores (`--workers`), and in each so many jobs at once.
One process is the default, and the interpreter is what that waits for: two did half as much again.
Each job at once blocks on a connection of its own, so there is nothing to poll. What a queue adds
at the same time is limited to 20 by default, to save connections: here it may be as many as there
are producers. A result is kept for ten minutes, the default. uvloop is there before its loop is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from saq import Queue

from benchmarks.python_figures.queues.settings import CONCURRENCY, URL, processes_for, use_uvloop
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally
from benchmarks.sizes import PRODUCERS

note = open_tally()
use_uvloop()
processes = processes_for(CONCURRENCY)
queue: Any = Queue.from_url(URL, name="bench", max_concurrent_ops=PRODUCERS)


async def noop(context: Any, *, i: int) -> None:
    note()


async def pick_up(context: Any, *, due_ns: int) -> None:
    note(due_ns)


functions: list[Any] = [noop, pick_up]
settings = {"queue": queue, "functions": functions, "concurrency": CONCURRENCY // processes}


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
    return [["-m", "saq", f"{__name__}.settings", "--workers", str(processes)]]
