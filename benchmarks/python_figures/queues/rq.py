"""RQ, with either of its workers: a process of its own for each job, or none.

Its notes on performance have `Worker`, which forks for each job, in production, and `SimpleWorker`,
which does not, for very short jobs that are trusted. A worker does one job at once, so jobs at once
are processes, ten at most: on two cores two, four and ten did as much. A result is kept for 500 s,
the default. The tasks' module is imported before a worker forks, as it advises.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import redis
from rq import Queue, SimpleWorker, Worker

from benchmarks.python_figures.queues.settings import PEER, URL
from benchmarks.python_figures.stage import BlockingQueue
from benchmarks.python_figures.tally import open_tally

QUEUE = "bench"
MOST_WORKERS = 10
"""A worker does one job at once, so more at once are more processes."""
FORKS = PEER == "rq"
WORKER_CLASS = Worker if FORKS else SimpleWorker
"""Named on the command line as one of this module, so that the module with the tasks is imported
before a worker forks: each of its processes would import it anew."""

note = open_tally()


def noop(i: int) -> None:
    note(process=os.getppid() if FORKS else None)


def pick_up(due_ns: int) -> None:
    note(due_ns)


def opened() -> BlockingQueue:
    queue: Any = Queue(QUEUE, connection=redis.Redis.from_url(URL))

    def add_many(numbers: Sequence[int]) -> None:
        queue.enqueue_many([Queue.prepare_data(noop, (i,)) for i in numbers])

    return BlockingQueue(
        add=lambda i: queue.enqueue(noop, i),
        pick_up=lambda due_ns: queue.enqueue(pick_up, due_ns),
        add_many=add_many,
    )


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    workers = str(min(concurrency, MOST_WORKERS))
    kind = f"{__name__}.WORKER_CLASS"
    options = ["--url", URL, "--worker-class", kind, "--quiet", "--num-workers", workers]
    return [["-m", "rq.cli", "worker-pool", QUEUE, *options]]
