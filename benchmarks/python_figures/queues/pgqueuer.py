"""pgqueuer: coroutines in one process, on PostgreSQL through asyncpg.

Its guide on performance advises most of what is set here: its settings for PostgreSQL's vacuum of
its tables, a pool of connections for a producer and a single one for a worker, and for short jobs a
batch above the default of 10. A batch may be half of the jobs at once at most: it is as large as
that, and two jobs at once are the least. Two processes with half of it each took more CPU for as
many jobs, and picked up later. Its tables are logged, the default, so jobs survive a loss of power;
those that have run are in its log, and no longer in its queue.

PostgreSQL counts what is in a table once a minute; it is told to when the backlog is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

from benchmarks.python_figures.queues.settings import CONCURRENCY, URL, use_uvloop
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

CONNECTIONS = 20
"""Of a producer: what the guide's example has."""

note = open_tally()


async def _noop(job: Any) -> None:
    note()


async def _pick_up(job: Any) -> None:
    note(int(job.payload))


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    async with asyncpg.create_pool(URL, min_size=1, max_size=CONNECTIONS) as pool:
        queries: Any = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        await queries.optimize_autovacuum()

        async def add_many(numbers: Sequence[int]) -> None:
            count = len(numbers)
            await queries.enqueue(["noop"] * count, [b"%d" % i for i in numbers], [0] * count)

        yield AsyncQueue(
            add=lambda i: queries.enqueue("noop", b"%d" % i),
            pick_up=lambda due_ns: queries.enqueue("pick-up", b"%d" % due_ns),
            add_many=add_many,
            settle=lambda: pool.execute("ANALYZE"),
        )


def work() -> None:
    """Work as its command line does, which does not start with the newest version of its parser."""
    use_uvloop()
    asyncio.run(_work())


async def _work() -> None:
    manager: Any = PgQueuer(AsyncpgDriver(await asyncpg.connect(URL)))
    manager.entrypoint("noop")(_noop)
    manager.entrypoint("pick-up")(_pick_up)
    batch = max(1, CONCURRENCY // 2)
    await manager.run(batch_size=batch, max_concurrent_tasks=2 * batch)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    return [["-c", f"from {__name__} import work; work()"]]
