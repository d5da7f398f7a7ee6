"""Dramatiq: processes of threads.

A process for each core is its default; the threads of all are the jobs at once: 50 in each of two
did more than its default of 8. The middleware is that with which it comes, and keeps no results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.python_figures.queues.settings import URL, processes_for
from benchmarks.python_figures.stage import BlockingQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
broker: Any = RedisBroker(url=URL)
dramatiq.set_broker(broker)


def _noop(i: int) -> None:
    note()


def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = dramatiq.actor(_noop, actor_name="noop")
pick_up: Any = dramatiq.actor(_pick_up, actor_name="pick-up")


def opened() -> BlockingQueue:
    return BlockingQueue(add=noop.send, pick_up=pick_up.send)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    processes = processes_for(concurrency)
    shape = ["--processes", str(processes), "--threads", str(concurrency // processes)]
    return [["-m", "dramatiq", __name__, *shape]]
