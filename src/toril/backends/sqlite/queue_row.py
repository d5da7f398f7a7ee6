"""One queue in memory: its settings, counts and unwritten events.

What a transaction does with it: `transaction.py`. What survives a transaction: `remembered.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from toril.engine.events import EventName, EventsTold, untold
from toril.engine.states import State

PAUSED, PAUSED_TO_MOVE = 1, 2
"""What a queue's `paused` says; 0 if it is not. Any later pause or resume ends the second."""

COUNTED = (
    State.WAIT,
    State.PRIORITIZED,
    State.DELAYED,
    State.WAITING_CHILDREN,
    State.ACTIVE,
    State.COMPLETED,
    State.FAILED,
)
"""The states that are counted: in the order of `queue_get.sql` and `queue_save.sql`."""

SETTINGS = (
    "paused",
    "concurrency",
    "rate_limit",
    "rate_window_ms",
    "window_begins_ms",
    "window_ends_ms",
    "window_count",
    "held_from_ms",
    "held_until_ms",
    "event_last",
    "completed_total",
    "failed_total",
    "keep_completed_age_ms",
    "keep_failed_age_ms",
    "told",
    "deduplicates",
    "flows",
    "history",
    "open_counts",
)
"""Columns that a transaction may change, in the order of `queue_get.sql` and `queue_save.sql`."""

_settings_of = attrgetter(*SETTINGS)


class QueueRow:
    """One queue as the transaction sees and changes it."""

    __slots__ = ("cells", "counted", "counts", "events", "id", "name", "saved", "untold", *SETTINGS)

    id: int
    name: str
    paused: int
    """0, `PAUSED` or `PAUSED_TO_MOVE`."""
    concurrency: int | None
    rate_limit: int | None
    rate_window_ms: int | None
    window_begins_ms: int
    window_ends_ms: int
    window_count: int
    held_from_ms: int
    held_until_ms: int
    event_last: int
    """Position of the newest event that is written."""
    completed_total: int
    failed_total: int
    keep_completed_age_ms: int | None
    keep_failed_age_ms: int | None
    told: EventsTold
    deduplicates: int
    """Whether one of its jobs holds, or has ever held, a de-duplication id."""
    flows: int
    """Whether one of its jobs has a parent or children, or once had."""
    history: int
    """Whether the queue's history is written."""
    open_counts: str
    """Counts of one minute on their way to the history (`tallies.py`)."""
    untold: frozenset[EventName]
    """Events that the queue does not emit: the other side of `told`."""

    def __init__(self, row: tuple[Any, ...]) -> None:
        """Take a row of `queue_get.sql` or `queue_list.sql`."""
        self.id, self.name = row[:2]
        ends = 2 + len(SETTINGS)
        for name, value in zip(SETTINGS, row[2:ends], strict=True):
            setattr(self, name, value)
        self.choose(self.told)
        self.counts: dict[State, int] = dict(zip(COUNTED, row[ends:], strict=True))
        self.events: list[tuple[EventName, str | None, Mapping[str, str] | None]] = []
        self.cells: Any = None
        """`open_counts`, read; None: not yet."""
        self.counted = False
        """Whether `cells` has what `open_counts` lacks."""
        self.saved = self.settings()
        """The settings and counts that the file has."""

    def moved(self, before: State | None, after: State | None, many: int = 1) -> None:
        """Note that jobs went from one state to another; None is outside."""
        if before is not None:
            self.counts[before] -= many
        if after is not None:
            self.counts[after] += many

    def choose(self, told: EventsTold) -> None:
        """Set what the queue tells from now on."""
        self.told = told
        self.untold = untold(told)

    def say(
        self, name: EventName, job_id: str | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        """Append an event, unless the queue does not tell it: of a job, or of the queue.

        With more fields where it has any.
        """
        if name not in self.untold:
            self.events.append((name, job_id, more))

    def settings(self) -> tuple[Any, ...]:
        """Return everything that may have changed, in the order of `queue_save.sql`."""
        return (*_settings_of(self), *self.counts.values(), self.id)
