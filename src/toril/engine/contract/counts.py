"""How many jobs are where. Never O(jobs)."""

from __future__ import annotations

from typing import Protocol

import msgspec

from toril.engine.events import EventsTold
from toril.engine.states import State


class QueueRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One queue and its figures."""

    name: str
    paused: bool
    counts: dict[State, int]
    """Every state is present."""
    completed_total: int
    """Since the queue began, kept or not."""
    failed_total: int
    oldest_waiting_ms: int | None
    """Age of the job that is next in line. None: none waits."""
    concurrency: int | None
    """Jobs of this queue that may run at once over all workers."""
    rate_limit: int | None
    rate_window_ms: int | None
    events: EventsTold = "all"
    """What it tells."""
    moving: bool = False
    """It is paused because it moves, or has moved, to another store, and for nothing else."""


class Counts(Protocol):
    """Figures of queues."""

    async def queues(self) -> list[QueueRecord]:
        """Return all queues, by name."""
        ...

    async def queue(self, name: str) -> QueueRecord | None:
        """Return one queue; None if nothing was ever added to it or said of it."""
        ...

    async def raise_totals(self, name: str, *, completed: int, failed: int) -> None:
        """Let the totals be at least these: the queue has a past in another store."""
        ...
