"""Celery: child processes for as many jobs at once as there are cores, threads for more.

Its guide on concurrency recommends the prefork pool to most, and limits it to a few processes for
each core: a hundred of them on two cores took two to four times the CPU of a hundred threads, and
did less. Two took more CPU than a hundred threads too, gevent's greenlets as well. A prefetch of 4,
the default, made no difference beyond the noise at a hundred threads. There is no result backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery

from benchmarks.python_figures.queues.settings import CPUS, URL
from benchmarks.python_figures.stage import BlockingQueue
from benchmarks.python_figures.tally import open_tally

PREFETCH = 128
"""Messages in advance for each job at once: its guide names 64 or 128 for many short tasks."""

note = open_tally()
app: Any = Celery("bench", broker=URL)
app.conf.worker_prefetch_multiplier = PREFETCH
app.conf.broker_connection_retry_on_startup = True


def _noop(i: int) -> None:
    note()


def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = app.task(name="noop", ignore_result=True)(_noop)
pick_up: Any = app.task(name="pick-up", ignore_result=True)(_pick_up)


def opened() -> BlockingQueue:
    return BlockingQueue(add=noop.delay, pick_up=pick_up.delay)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    pool = "prefork" if concurrency <= CPUS else "threads"
    options = ["--pool", pool, "--concurrency", str(concurrency), "--loglevel", "WARNING"]
    return [["-m", "celery", "--app", __name__, "worker", *options]]
