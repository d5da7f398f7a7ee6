"""Figures of queues: jobs by state, totals, limits. No call counts all jobs one by one."""

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
    """Since the queue began, kept or not; what workers of BullMQ ended counts while it is kept."""
    failed_total: int
    oldest_waiting_ms: int | None
    """Age of the job that is next in line. None: no job waits."""
    concurrency: int | None
    """Jobs of this queue that may run at once over all workers."""
    rate_limit: int | None
    rate_window_ms: int | None
    window_starts: int = 0
    """Jobs that have started in the present rate window. Counted only while a rate limit is set."""
    window_left_ms: int = 0
    """How long the present rate window still lasts. 0: there is none."""
    hold_left_ms: int = 0
    """How long a hold still lasts. 0: there is none."""
    events: EventsTold = "all"
    """Which events it emits."""
    history: bool = True
    """Whether its history is written."""
    moving: bool = False
    """It was paused by a migration to another store, and neither paused nor resumed since."""

    @property
    def maxed(self) -> bool:
        """Whether its concurrency is used up."""
        return self.concurrency is not None and self.counts[State.ACTIVE] >= self.concurrency

    def held_ms(self, worker_limit: int | None = None) -> int:
        """Return for how long a hold or the rate limit lets no job start. 0: a job may start.

        Parameters:
            worker_limit: Starts that a worker allows in a window. It counts only if the queue has
                no limit of its own.
        """
        limit = worker_limit if self.rate_limit is None else self.rate_limit
        is_full = limit is not None and self.window_starts >= limit
        return max(self.hold_left_ms, self.window_left_ms if is_full else 0)


class JobPlace(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is from its start, apart from what its record says."""

    state: State
    ahead: int | None = None
    """Jobs in line that start before this one. None: it is not in line. In the states of `READY`,
    None means that it is in no line at all: it was lost from it, and no worker comes to it."""
    more: bool = False
    """More than `ahead` are ahead: the store has counted no further."""
    paused_at_ms: int | None = None
    """Since when the queue is paused, at the latest. None: it is not, or nobody knows."""


class Counts(Protocol):
    """Figures of queues, and a job's place among the others."""

    async def queues(self, *, search: bool = False) -> list[QueueRecord]:
        """Return all queues that the store has a list of, by name. Cost: O(queues).

        Parameters:
            search: Look through the whole store for queues that others have made, and put them on
                the list. Cost: O(keys) of a server. Where only Toril makes queues it changes
                nothing.
        """
        ...

    async def queue(self, name: str) -> QueueRecord | None:
        """Return one queue. None: it does not exist; nobody has added a job to it or set it up."""
        ...

    async def running(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many jobs of some queues each worker runs at this moment, by its id.

        Cost: O(jobs that run). Those of which no worker is known are left out.
        """
        ...

    async def by_priority(self, name: str, priorities: Sequence[int]) -> list[int]:
        """Return how many jobs wait with each of some priorities, in order. 0: without a priority.

        Cost: O(log N) each; on SQLite O(jobs of that priority), on the reader's thread.
        """
        ...

    async def raise_totals(self, name: str, *, completed: int, failed: int) -> None:
        """Raise the totals to these, if they are lower: the queue comes from another store."""
        ...

    async def place(self, queue: str, job_id: str, *, limit: int) -> JobPlace | None:
        """Return how far a job is from its start. None: it does not exist.

        Cost: O(limit). It is for people who ask for one job, not for loops.

        Parameters:
            queue: The job's.
            job_id: Which.
            limit: How many jobs ahead of it to count, from 1. If a store can tell the exact number
                without counting, it may be larger.
        """
        ...
