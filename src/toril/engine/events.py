"""What happened to jobs and queues: the only list of event names, and the fields of each.

Names and fields are BullMQ's (spec, section 4), so that one reader serves both stores.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

import msgspec


class EventName(StrEnum):
    """Every event."""

    ADDED = "added"
    """A job was made. `jobId`, `name`."""
    WAITING = "waiting"
    """A job is ready. `jobId`, and `prev` unless it is new."""
    DELAYED = "delayed"
    """A job is due later. `jobId`, `delay`: when, epoch ms."""
    WAITING_CHILDREN = "waiting-children"
    """A parent of BullMQ's flows waits for its children. `jobId`, `prev` unless it is new."""
    ACTIVE = "active"
    """A worker took it. `jobId`, `prev`."""
    COMPLETED = "completed"
    """`jobId`, `returnvalue` (JSON text), `prev`."""
    FAILED = "failed"
    """For good. `jobId`, `failedReason`, `prev`."""
    RETRIES_EXHAUSTED = "retries-exhausted"
    """Right after `failed`, when no attempt was left. `jobId`, `attemptsMade`."""
    PROGRESS = "progress"
    """`jobId`, `data` (JSON text)."""
    STALLED = "stalled"
    """Its lease ended under a worker. `jobId`."""
    REMOVED = "removed"
    """`jobId`, `prev`."""
    DUPLICATED = "duplicated"
    """A job of that id was there already. `jobId`."""
    DEDUPLICATED = "deduplicated"
    """A job was not added, since another one holds its de-duplication id; or it has taken that
    one's place. `jobId`: the one that stays; `deduplicationId`; `deduplicatedJobId`: the other."""
    DRAINED = "drained"
    """Nothing waits and nothing runs."""
    PAUSED = "paused"
    """No job of the queue starts."""
    RESUMED = "resumed"
    """Jobs start again."""
    CLEANED = "cleaned"
    """Old jobs were removed. `count`."""
    MISSED = "missed"
    """Slots of a schedule were not taken in time. `jobId`: the job of the first; `schedule`,
    `count`, `dropped` (how many of them do not run), `policy`, `from` and `until` (slots, epoch
    ms). BullMQ has no such event."""


EventsTold = Literal["all", "outcomes", "none"]
"""What a queue tells: all that happens; `outcomes`, which is all but the ordinary life of jobs; or
nothing."""

ORDINARY = frozenset(
    {
        EventName.ADDED,
        EventName.WAITING,
        EventName.DELAYED,
        EventName.WAITING_CHILDREN,
        EventName.ACTIVE,
        EventName.DRAINED,
    }
)
"""The ordinary life of jobs."""

_UNTOLD: dict[EventsTold, frozenset[EventName]] = {
    "all": frozenset(),
    "outcomes": ORDINARY,
    "none": frozenset(EventName),
}


def untold(told: EventsTold) -> frozenset[EventName]:
    """Return the events that a queue leaves out."""
    return _UNTOLD[told]


class EventRecord(msgspec.Struct, frozen=True):
    """One event."""

    position: int
    """Where it stands in its queue's log. It grows from event to event; nothing else is
    promised: neither where it begins nor by how much it grows."""
    at_ms: int
    name: str
    fields: dict[str, Any]
    """All values are text, as on Redis."""

    @property
    def job_id(self) -> str | None:
        """The job it is about; None for events of the queue."""
        return self.fields.get("jobId")
