"""Procrastinate: processes of coroutines, on PostgreSQL through psycopg's async connections.

Its guide names more worker processes first to get more done, then more jobs at once in each. Its
page on pools wants as many connections for short jobs as there are jobs at once; PostgreSQL, as it
is delivered, has a hundred for everybody, so they are shared out (4, 10 and 40 a process made no
difference). `listen_notify` is on and finished jobs stay in their table, both by default.

PostgreSQL counts what is in a table once a minute; before that it knows nothing of the backlog, and
claims were half as fast. So it is told to count when the backlog is there.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.python_figures.queues.settings import (
    CONCURRENCY,
    URL,
    processes_for,
    use_uvloop,
)
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

MOST_PROCESSES = 16
"""With `LEAST_CONNECTIONS` and one to listen on each: twenty of a hundred are for a producer."""
LEAST_CONNECTIONS = 4
"""The pool's default."""
MOST_CONNECTIONS = 20

note = open_tally()
processes = min(processes_for(CONCURRENCY), MOST_PROCESSES)
connections = min(MOST_CONNECTIONS, MOST_PROCESSES * LEAST_CONNECTIONS // processes)
app: Any = App(connector=PsycopgConnector(conninfo=URL, max_size=connections))


async def _noop(i: int) -> None:
    note()


async def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = app.task(name="noop")(_noop)
pick_up: Any = app.task(name="pick-up")(_pick_up)


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        yield AsyncQueue(
            add=lambda i: noop.defer_async(i=i),
            pick_up=lambda due_ns: pick_up.defer_async(due_ns=due_ns),
            add_many=lambda numbers: noop.batch_defer_async(*({"i": i} for i in numbers)),
            settle=lambda: app.connector.execute_query_async("ANALYZE"),
        )


def work() -> None:
    """Work as its command line does, on uvloop: that one has made its loop before it comes here."""
    logging.basicConfig(level=logging.WARNING)  # no line for the start and the end of each job
    use_uvloop()
    app.run_worker(concurrency=CONCURRENCY // processes)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    return [["-c", f"from {__name__} import work; work()"]] * processes
