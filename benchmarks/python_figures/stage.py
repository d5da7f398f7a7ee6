"""What the measurements stand on: the module of a queue, and its way to add jobs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from benchmarks.order import Order
from benchmarks.python_peers import PYTHON_PEERS

ROOT = Path(__file__).resolve().parent.parent.parent
CHUNK = 1_000
"""Jobs of one call, where a queue adds many in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockingQueue:
    """A queue whose calls block; many producers are threads."""

    add: Callable[[int], object]
    """Adds a job that does nothing, with a number for its payload."""
    pick_up: Callable[[int], object]
    """Adds a job that was due at a moment, in nanoseconds."""
    add_many: Callable[[Sequence[int]], object] | None = None
    """As `add`, in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncQueue:
    """A queue whose calls are awaited; many producers are tasks of a loop."""

    add: Callable[[int], Awaitable[object]]
    pick_up: Callable[[int], Awaitable[object]]
    add_many: Callable[[Sequence[int]], Awaitable[object]] | None = None
    settle: Callable[[], Awaitable[object]] | None = None
    """Does now what its store does of itself within a minute of many jobs being added."""


class QueueModule(Protocol):
    """A module of `queues/`. It reads where its store is from the environment."""

    def opened(self) -> BlockingQueue | AbstractAsyncContextManager[AsyncQueue]:
        """Return the queue, or what opens it."""
        ...

    def worker_commands(self, concurrency: int) -> Sequence[Sequence[str]]:
        """Return what Python is started with: one sequence of arguments for each worker."""
        ...


def environment(order: Order, where: str) -> dict[str, str]:
    """Return what a module of `queues/` reads, in any process."""
    return {
        "BENCH_URL": where,
        "BENCH_PEER": order.peer,
        "BENCH_CONCURRENCY": str(order.concurrency),
        "BENCH_DURABILITY": order.durability,
    }


def load(order: Order, where: str) -> QueueModule:
    """Return the module of a peer's queue."""
    os.environ |= environment(order, where)
    name = f"benchmarks.python_figures.queues.{PYTHON_PEERS[order.peer].module}"
    return cast("QueueModule", importlib.import_module(name))
