"""A schedule as stores hold it, and what its jobs are. No store is known here."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.core.reading import LARGEST, read_object, whole
from toril.engine.job import NewJob
from toril.engine.options import MAX_PRIORITY
from toril.engine.schedules.slots import Timing, spread_ms
from toril.engine.states import State

PREFIX = "repeat:"
"""With what the ids of jobs begin that a schedule has made. No caller can choose such an id."""


class Declared(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """That code declares a schedule, and which. Several versions of the code may be at work."""

    by: str
    """Whose code: the top-level package of the function."""
    print: str
    """The definition's fingerprint."""
    at_ms: int
    """When a worker last said that its code has it."""
    before: tuple[str, ...] = ()
    """Fingerprints of the definitions that this one has replaced, newest last."""


class Beside(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What BullMQ cannot say of a schedule. On Redis it lies beside, under a key of ours."""

    missed: str = "one"
    jitter_ms: int = 0
    paused: bool = False
    count: int = 0
    """`paused`, on Redis: the number of its last job, as no job is there to say it. Stores only."""


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule."""

    queue: str
    id: str
    name: str
    """The name of its jobs."""
    data: str | None
    """Their payload, JSON text. None: nothing was said, which is an empty object."""
    opts: str = "{}"
    """Their options, JSON text in BullMQ's short form."""
    timing: Timing
    limit: int | None = None
    """How many jobs it makes in all."""
    made: int = 1
    """Jobs that it has made since it exists."""
    count: int = 1
    """The number of its newest job, which begins anew when the timing changes: `limit` is about
    this one."""
    next_ms: int
    """The slot of its newest job."""
    job_state: State | None = None
    """Where that job is. None: it is gone."""
    beside: Beside = Beside()
    declared: Declared | None = None
    """Which code declares it. None: it was made by a call, or by Node."""

    @property
    def paused(self) -> bool:
        """Whether it makes no jobs until resumed. One that BullMQ has given a new job goes on."""
        return self.beside.paused and not self.is_pending

    @property
    def is_pending(self) -> bool:
        """Whether its newest job has still to run, or runs."""
        return self.job_state not in (None, State.COMPLETED, State.FAILED)

    @property
    def job_id(self) -> str:
        """The id of its newest job."""
        return job_id_of(self.id, self.next_ms)


def job_id_of(schedule_id: str, slot_ms: int) -> str:
    """Return the id of the job of a slot."""
    return f"{PREFIX}{schedule_id}:{slot_ms}"


def slot_of(job_id: str) -> tuple[str, int] | None:
    """Return the schedule and the slot that a job's id says. None: no schedule has made it."""
    if not job_id.startswith(PREFIX):
        return None
    schedule_id, _, slot = job_id[len(PREFIX) :].rpartition(":")
    if not schedule_id or not slot.isdecimal() or not slot.isascii() or len(slot) > 16:
        return None
    return schedule_id, int(slot)


def count_of(opts: str) -> int | None:
    """Return which job of its schedule this is, from 1. None: its options do not say."""
    repeat = read_object(opts).get("repeat")
    count = whole(repeat.get("count"), 0) if isinstance(repeat, dict) else 0
    return count if count >= 1 else None


_OF_ONE_JOB = frozenset({"repeat", "repeatJobKey", "jobId", "prevMillis", "timestamp", "delay"})


def template_of(opts: str) -> str:
    """Return the options of a job without those that concern it alone."""
    template = {word: one for word, one in read_object(opts).items() if word not in _OF_ONE_JOB}
    return msgspec.json.encode(template).decode()


def offset_of(opts: str) -> int | None:
    """Return the offset that a job's options say, if whoever made its schedule gave one."""
    repeat = read_object(opts).get("repeat")
    offset = repeat.get("offset") if isinstance(repeat, dict) else None
    return None if offset is None else whole(offset)


def iteration(
    record: ScheduleRecord,
    slot_ms: int,
    count: int,
    now_ms: int,
    *,
    follows: bool,
    offset_ms: int | None = None,
) -> NewJob:
    """Return the job of a slot.

    Parameters:
        record: Its schedule.
        slot_ms: The slot.
        count: Its number, from 1.
        now_ms: When it is made.
        follows: Another one was before it: Node then writes `attempts`, whatever the template says.
        offset_ms: What was said of the offset when the schedule was made.
    """
    timing = record.timing
    due_ms = slot_ms + spread_ms(record.queue, record.id, slot_ms, record.beside.jitter_ms)
    template = read_object(record.opts)
    job_id = job_id_of(record.id, slot_ms)
    repeat = {
        "count": count,
        "every": timing.every_ms,
        "pattern": timing.pattern,
        "tz": timing.timezone,
        "limit": record.limit,
        "offset": offset_ms,
        "startDate": timing.start_ms,
        "endDate": timing.end_ms,
    }
    wire: dict[str, Any] = {
        **template,
        "repeat": {word: value for word, value in repeat.items() if value is not None},
        "repeatJobKey": record.id,
        "jobId": job_id,
        "timestamp": now_ms,
        "delay": max(0, due_ms - now_ms),
    }
    if timing.pattern is not None:
        wire["prevMillis"] = slot_ms
    if follows:
        wire.setdefault("attempts", 0)
    priority = whole(template.get("priority"))
    return NewJob(
        queue=record.queue,
        name=record.name,
        data="{}" if record.data is None else record.data,
        opts=msgspec.json.encode(wire).decode(),
        job_id=job_id,
        run_at_ms=min(due_ms, LARGEST),
        timestamp_ms=now_ms,
        priority=min(max(priority, 0), MAX_PRIORITY),
        lifo=template.get("lifo") is True,
    )
