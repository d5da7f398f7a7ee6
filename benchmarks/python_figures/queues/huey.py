"""Huey on Redis, with greenlets.

Threads are its default; its documentation names greenlets, with gevent, for tasks that do not
compute. At 100 at once they did half as much again as threads, with less CPU. It waits for jobs
with a blocking read, so there is no wait to set. A task that returns nothing stores nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from huey import RedisHuey

from benchmarks.python_figures.queues.settings import URL
from benchmarks.python_figures.stage import BlockingQueue
from benchmarks.python_figures.tally import open_tally

note = open_tally()
huey: Any = RedisHuey("bench", url=URL)


def _noop(i: int) -> None:
    note()


def _pick_up(due_ns: int) -> None:
    note(due_ns)


noop: Any = huey.task(name="noop")(_noop)
pick_up: Any = huey.task(name="pick-up")(_pick_up)


def opened() -> BlockingQueue:
    return BlockingQueue(add=noop, pick_up=pick_up)


def worker_commands(concurrency: int) -> Sequence[Sequence[str]]:
    options = ["--workers", str(concurrency), "--worker-type", "greenlet", "--quiet"]
    return [["-m", "huey.bin.huey_consumer", f"{__name__}.huey", *options]]
