"""How many jobs are where. Never O(jobs)."""

from __future__ import annotations

from collections.abc import Sequence
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
    window_starts: int = 0
    """Jobs that have started in the present rate window, if something limits the rate."""
    window_left_ms: int = 0
    """What is left of that window. 0: there is none."""
    hold_left_ms: int = 0
    """What is left of a hold. 0: there is none."""
    events: EventsTold = "all"
    """What it tells."""
    moving: bool = False
    """It is paused because it moves, or has moved, to another store, and for nothing else."""

    @property
    def maxed(self) -> bool:
        """Whether as many run as its concurrency allows, or more."""
        return self.concurrency is not None and self.counts[State.ACTIVE] >= self.concurrency

    def held_ms(self, worker_limit: int | None = None) -> int:
        """Return for how long a hold or the rate limit lets nothing start. 0: they do not.

        Parameters:
            worker_limit: Starts in a window that a worker allows; heeded if the queue says nothing.
        """
        limit = worker_limit if self.rate_limit is None else self.rate_limit
        is_full = limit is not None and self.window_starts >= limit
        return max(self.hold_left_ms, self.window_left_ms if is_full else 0)


class Counts(Protocol):
    """Figures of queues."""

    async def queues(self, *, search: bool = False) -> list[QueueRecord]:
        """Return all queues that the store has a list of, by name. Cost: O(queues).

        Parameters:
            search: Look through the whole store for queues that others have made, and put them on
                the list. Cost: O(keys) of a server. Where only Toril makes queues it changes
                nothing.
        """
        ...

    async def queue(self, name: str) -> QueueRecord | None:
        """Return one queue; None if nothing was ever added to it or said of it."""
        ...

    async def by_priority(self, name: str, priorities: Sequence[int]) -> list[int]:
        """Return how many jobs wait with each of some priorities, in their order; 0 is none.

        Cost: O(log N) each, but in SQLite those of a priority are counted, beside the writer.
        """
        ...

    async def raise_totals(self, name: str, *, completed: int, failed: int) -> None:
        """Let the totals be at least these: the queue has a past in another store."""
        ...
