"""What the measurements stand on: Huey on its own store, a consumer with threads, its tasks."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer

from benchmarks.latencies import Sample
from benchmarks.order import Order

POLLING_S = 0.001
"""First wait of a consumer's thread that finds nothing. Huey's default is 100 ms."""


class Stage:
    """Huey, and the two tasks."""

    def __init__(self, order: Order, where: str) -> None:
        self.huey: Any = SqliteHuey(
            "bench", filename=f"{where}/huey.db", fsync=order.durability == "full"
        )
        self.samples: list[Sample] = []
        self.noop: Callable[..., Any] = self.huey.task(name="noop")(self._noop)
        self.pick_up: Callable[..., Any] = self.huey.task(name="pick_up")(self._pick_up)
        self._done = threading.Event()
        self._awaited = 0
        self._runs = itertools.count(1)

    def expect(self, runs: int) -> None:
        """Count runs anew, up to so many."""
        self._done.clear()
        self._runs = itertools.count(1)
        self._awaited = runs

    def wait(self) -> None:
        """Return once all that were expected have run."""
        self._done.wait()

    def count(self) -> None:
        """Count a run."""
        if next(self._runs) == self._awaited:  # atomic in CPython: cheaper than a lock
            self._done.set()

    def _noop(self, i: object) -> None:
        self.count()

    def _pick_up(self, due_ns: int) -> None:
        self.samples.append((due_ns, time.monotonic_ns() - due_ns))


@contextmanager
def consuming(stage: Stage, workers: int) -> Iterator[None]:
    """Have a consumer at work, with the defaults in all but its threads and its first wait."""
    consumer = Consumer(stage.huey, workers=workers, initial_delay=POLLING_S)
    consumer.start()
    try:
        yield
    finally:
        consumer.stop(graceful=True)
