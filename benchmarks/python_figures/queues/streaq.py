"""streaq: processes of coroutines.

Its own benchmark has a prefetch of as many jobs as run at once, the default, and one or more
processes (`--workers`). A process keeps one core busy with some 2 ms for each job, in three calls
to Redis, so it gets as many as there are cores: two did nearly twice as much. uvloop by way of
`anyio_kwargs`, which made little difference. A result is kept for five minutes, the default.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from benchmarks.loop import loop_factory
from benchmarks.python_figures.queues.settings import CONCURRENCY, URL, processes_for
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
processes = processes_for(CONCURRENCY)
worker: Any = Worker(
    redis_url=URL,
    queue_name="bench",
    concurrency=CONCURRENCY // processes,
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
    return [["-m", "streaq", "run", f"{__name__}:worker", "--workers", str(processes)]]
