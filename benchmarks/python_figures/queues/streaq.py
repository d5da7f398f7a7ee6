"""streaq: coroutines in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from benchmarks.loop import loop_factory
from benchmarks.python_figures.queues.settings import CONCURRENCY, URL
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
worker: Any = Worker(
    redis_url=URL,
    queue_name="bench",
    concurrency=CONCURRENCY,
    anyio_kwargs={"use_uvloop": loop_factory() is not None},
)


async def _noop(i: int) -> None:
    note()


async def _pick_up(due_ns: int) -> None:
    note(due_ns)


# Silent: no line in the log for the start and the end of each job.
noop: Any = worker.task(name="noop", silent=True)(_noop)
pick_up: Any = worker.task(name="pick-up", silent=True)(_pick_up)


async def _add(i: int) -> None:
    await noop.enqueue(i)


async def _add_due(due_ns: int) -> None:
    await pick_up.enqueue(due_ns)


async def _add_many(numbers: Sequence[int]) -> None:
    await worker.enqueue_many([noop.enqueue(i) for i in numbers])


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    async with worker:
        yield AsyncQueue(add=_add, pick_up=_add_due, add_many=_add_many)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    return [["-m", "streaq", "run", f"{__name__}:worker"]]
