"""What the measurements stand on: a queue, and workers whose completed jobs are counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import redis.asyncio as redis
from bullmq import Queue, Worker

QUEUE = "bench"
CONNECTIONS = 50
"""Of a pool, at most. With a URL BullMQ has one, at which all jobs of a worker take turns."""
CHUNK = 1_000
"""Jobs of one `addBulk`."""
KEEP = {"removeOnComplete": {"count": 10_000}}
"""What is kept of completed jobs: as much as Toril keeps. The default is all of them."""

Processor = Callable[[Any, str], Awaitable[None]]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Any]:
    """Give a queue."""
    queue = Queue(QUEUE, {"connection": _client(url), "defaultJobOptions": KEEP})
    try:
        yield queue
    finally:
        await queue.close()


async def add(queue: Any, count: int) -> None:
    """Add jobs in bulk."""
    for start in range(0, count, CHUNK):
        numbers = range(start, min(start + CHUNK, count))
        await queue.addBulk([{"name": "noop", "data": {"i": i}} for i in numbers])


async def noop(job: Any, token: str) -> None:
    """Do nothing."""


class Workers:
    """The workers of this process: one for each queue, since each serves one."""

    def __init__(
        self,
        url: str,
        concurrency: int,
        processor: Processor = noop,
        queues: Sequence[str] = (QUEUE,),
    ) -> None:
        self._workers: list[Any] = []
        self._running: list[asyncio.Task[None]] = []
        self._completed = 0
        self._awaited = 0
        self._reached = asyncio.Event()
        self._trouble: RuntimeError | None = None
        for name in queues:
            options = {"connection": _client(url), "concurrency": concurrency, "autorun": False}
            worker = Worker(name, processor, options)
            worker.on("completed", self._count)
            worker.on("failed", self._fail)
            worker.on("error", self._fail)
            self._workers.append(worker)

    def start(self) -> None:
        """Let them work."""
        self._running = [asyncio.create_task(worker.run()) for worker in self._workers]

    async def completed(self, count: int) -> None:
        """Return once so many jobs were completed in all.

        Raises:
            RuntimeError: A job failed, or BullMQ met an error.
        """
        self._awaited = count
        self._reached.clear()
        if self._completed < count and self._trouble is None:
            await self._reached.wait()
        if self._trouble is not None:
            raise self._trouble

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            await worker.close()
        await asyncio.gather(*self._running)

    def _count(self, *_: Any) -> None:
        self._completed += 1
        if self._completed == self._awaited:
            self._reached.set()

    def _fail(self, *what: Any) -> None:
        self._trouble = RuntimeError(f"BullMQ met an error: {what}")
        self._reached.set()


def _client(url: str) -> Any:
    """Return a client of redis-py.

    Its own limit of 5 s for an answer is off: it ends BullMQ's blocking reads of 5 s, after which
    an idle worker hears of no job for some seconds.
    """
    pool = redis.BlockingConnectionPool.from_url(
        url, max_connections=CONNECTIONS, decode_responses=True, socket_timeout=None
    )
    return redis.Redis.from_pool(pool)
