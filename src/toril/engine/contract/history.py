"""What queues did, per task and minute, hour and day.

`Dispatch.exchange` counts each outcome in the transition that applies it, so every outcome counts
once, however often a worker sends it, and also if its job is removed at once. Counts are collected
by the minute; `roll_up` adds minutes that are over to their hour and day.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

import msgspec

from toril.engine.tally import Tally

MINUTE_MS = 60_000


class Level(IntEnum):
    """How long the periods are."""

    MINUTE = 0
    HOUR = 1
    DAY = 2
    """UTC days."""
    EVER = 3
    """One period, since the history began."""

    @property
    def period_ms(self) -> int:
        """How long a period is; of `EVER`: 0."""
        return (MINUTE_MS, 60 * MINUTE_MS, 1440 * MINUTE_MS, 0)[self]

    @property
    def kept_ms(self) -> int:
        """For how long a store keeps the periods; of `EVER`: 0."""
        day_ms = 1440 * MINUTE_MS
        return (7 * day_ms, 90 * day_ms, 730 * day_ms, 0)[self]


class HistoryRow(msgspec.Struct, frozen=True):
    """What one task did in one period."""

    start_ms: int
    """When the period begins, epoch milliseconds."""
    task: str
    """The name of its jobs. Empty: the queue's own figures, which have no task. `*`: all names for
    which there was no room, or that are not known."""
    tally: Tally


class History(Protocol):
    """What queues did."""

    async def keep(self, queue: str, kept: bool) -> None:
        """Begin or end to write the history of a queue. What is written stays."""
        ...

    async def read(
        self, queue: str, level: Level, *, since_ms: int, until_ms: int
    ) -> list[HistoryRow]:
        """Return the rows of periods that begin in a span, by their begin and their task.

        Minutes that are not rolled up yet come as rows of their minute, whatever the level: the
        caller adds up. Of `EVER`, all rows are returned.

        Cost: O(rows).

        Parameters:
            queue: Which.
            level: Of which length the periods are.
            since_ms: The first moment of the span, at the beginning of a period.
            until_ms: The end of the span; a period that begins then is not in it.
        """
        ...

    async def roll_up(self, *, limit: int) -> bool:
        """Add minutes that are over to their hour and day, and remove periods that are too old.

        It also notes how long the next job of each queue has waited. Any number of workers may call
        it; each minute is added once.

        Parameters:
            limit: About how many counts one transition of the store takes.

        Returns:
            Whether there is more to do.
        """
        ...

    async def adopt(self, queue: str, level: Level, rows: Sequence[HistoryRow]) -> None:
        """Take rows of another store as they are. A row that is there already stays."""
        ...
