"""What people and programs see of a schedule: Python values in place of stored text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toril.core.clock import moment
from toril.core.reading import read
from toril.engine.schedules.fitting import unreadable
from toril.engine.schedules.record import ScheduleRecord
from toril.engine.schedules.slots import spread_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """A schedule as it was when it was looked at."""

    id: str
    queue: str
    name: str
    """The name of its jobs: their task."""
    data: Any
    """Their payload, decoded. A `RawText` where it cannot be."""
    options: Any
    """Their options, decoded: BullMQ's words."""
    cron: str | None
    """The expression, in fields."""
    every_s: float | None
    timezone: str | None
    """Whose local time `cron` means. None: with `every_s`; or Node made it, and did not say."""
    start_at: datetime | None
    end_at: datetime | None
    limit: int | None
    """How many jobs it makes in all."""
    offset_s: float | None
    """With `every_s`: how long after each full span, counted from 1970."""
    jitter_s: float
    missed: str
    """What becomes of slots that no worker took in time: `skip`, `one` or `all`."""
    paused: bool
    """It makes no jobs until it is resumed."""
    next_at: datetime | None
    """When its next job is due, its jitter included. None: it makes none."""
    job_id: str | None
    """The job that waits for that moment, or runs. None: there is none."""
    made: int
    """How many jobs it has made."""
    declared: bool
    """Code declares it: `@app.schedule`."""
    problem: str | None
    """Why its jobs cannot be run here, or are not known to come. None: nothing is wrong."""

    @property
    def ended(self) -> bool:
        """Whether it makes no jobs any more: its limit or its end is reached."""
        return self.next_at is None and not self.paused

    @classmethod
    def from_record(cls, record: ScheduleRecord, problem: str | None = None) -> ScheduleInfo:
        """Return a stored record as Python values.

        Parameters:
            record: The record.
            problem: Why its jobs cannot be run. None: only the record itself is looked at.
        """
        timing, beside = record.timing, record.beside
        due_ms = record.next_ms + spread_ms(
            record.queue, record.id, record.next_ms, beside.jitter_ms
        )
        return cls(
            id=record.id,
            queue=record.queue,
            name=record.name,
            data=read("{}" if record.data is None else record.data),
            options=read(record.opts),
            cron=timing.pattern,
            every_s=None if timing.every_ms is None else timing.every_ms / 1000,
            timezone=timing.timezone,
            start_at=None if timing.start_ms is None else moment(timing.start_ms),
            end_at=None if timing.end_ms is None else moment(timing.end_ms),
            limit=record.limit,
            offset_s=None
            if timing.every_ms is None or timing.offset_ms is None
            else timing.offset_ms / 1000,
            jitter_s=beside.jitter_ms / 1000,
            missed=beside.missed,
            paused=record.paused,
            next_at=moment(due_ms) if record.is_pending else None,
            job_id=record.job_id if record.is_pending else None,
            made=record.made,
            declared=record.declared is not None,
            problem=problem or unreadable(record),
        )
