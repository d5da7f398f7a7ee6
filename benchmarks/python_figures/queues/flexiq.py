"""FlexiQ on SQLite, with threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flexiq import Queue

from benchmarks.python_figures.queues.settings import CONCURRENCY, URL
from benchmarks.python_figures.stage import BlockingQueue
from benchmarks.python_figures.tally import open_tally

BATCH = 100
"""Jobs that a round of its scheduler takes at most. The default on SQLite is 1."""
POLL_MS = 1
"""Between two looks for jobs. The default is 50 ms, and on SQLite nothing wakes it well: with
`push_dispatch` it did about 12 jobs in a second."""

note = open_tally()
queue: Any = Queue(
    db_path=f"{URL}/flexiq.db",
    workers=CONCURRENCY,
    scheduler_batch_size=min(CONCURRENCY, BATCH),
    scheduler_poll_interval_ms=POLL_MS,
)


def _noop(i: int) -> None:
    note()


def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = queue.task(name="noop")(_noop)
pick_up: Any = queue.task(name="pick-up")(_pick_up)


def _add_many(numbers: Sequence[int]) -> None:
    noop.map([(i,) for i in numbers])


def opened() -> BlockingQueue:
    return BlockingQueue(add=noop.delay, pick_up=pick_up.delay, add_many=_add_many)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    return [["-m", "flexiq.cli", "worker", "--app", f"{__name__}:queue"]]
