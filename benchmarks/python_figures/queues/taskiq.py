"""taskiq with a Redis stream: processes of coroutines.

Of its brokers for Redis this one acknowledges, so that a job survives its worker. Two processes are
its default: here it is one for each core, and the jobs at once are shared between them. A prefetch
of as many is what a queue that measured itself beside it gave it; none, its default, or twice as
many made no difference beyond the noise. It takes uvloop by itself, and has no result backend.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from taskiq_redis import RedisStreamBroker

from benchmarks.python_figures.queues.settings import URL, processes_for
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
broker: Any = RedisStreamBroker(URL, queue_name="bench")


async def _noop(i: int) -> None:
    note()


async def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = broker.task(task_name="noop")(_noop)
pick_up: Any = broker.task(task_name="pick-up")(_pick_up)


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    await broker.startup()
    try:
        yield AsyncQueue(add=noop.kiq, pick_up=pick_up.kiq)
    finally:
        await broker.shutdown()


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    processes = processes_for(concurrency)
    each = str(concurrency // processes)
    options = ["--workers", str(processes), "--max-async-tasks", each, "--max-prefetch", each]
    return [["-m", "taskiq", "worker", f"{__name__}:broker", *options, "--log-level", "WARNING"]]
