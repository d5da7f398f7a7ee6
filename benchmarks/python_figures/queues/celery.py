"""Celery, with its prefork pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery

from benchmarks.python_figures.queues.settings import URL
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
    options = ["--concurrency", str(concurrency), "--loglevel", "WARNING"]
    return [["-m", "celery", "--app", __name__, "worker", *options]]
