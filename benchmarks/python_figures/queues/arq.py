"""arq: coroutines in one process.

It polls, and reads the ids of up to five times as many jobs as may run at once, the default. The
default wait of 0.5 s between two looks would spoil its pick-up, and its rate too, since it looks
for more only then; 1 ms in place of 10 did no more, nor did fewer ids. Its command line starts one
process. Two of them fight over the same ids: for as many jobs they took more CPU, for no more jobs
a second. A result is kept for an hour, the default. uvloop is there before its loop is made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.python_figures.queues.settings import CONCURRENCY, URL, use_uvloop
from benchmarks.python_figures.stage import AsyncQueue
from benchmarks.python_figures.tally import open_tally

POLL_S = 0.01
"""Between two looks for jobs. The default is 0.5 s, and no call waits for one."""
QUIET = {"version": 1}
"""In place of a line in the log for the start and the end of each job."""

note = open_tally()
use_uvloop()


async def noop(context: Any, i: int) -> None:
    note()


async def pick_up(context: Any, due_ns: int) -> None:
    note(due_ns)


class WorkerSettings:
    """What its command line reads."""

    functions: ClassVar[list[Any]] = [noop, pick_up]
    redis_settings = RedisSettings.from_dsn(URL)
    max_jobs = CONCURRENCY
    poll_delay = POLL_S


@asynccontextmanager
async def opened() -> AsyncIterator[AsyncQueue]:
    pool: Any = await create_pool(RedisSettings.from_dsn(URL))
    try:
        yield AsyncQueue(
            add=lambda i: pool.enqueue_job("noop", i),
            pick_up=lambda due_ns: pool.enqueue_job("pick_up", due_ns),
        )
    finally:
        await pool.aclose()


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    log = ["--custom-log-dict", f"{__name__}.QUIET"]
    return [["-m", "arq", f"{__name__}.WorkerSettings", *log]]
