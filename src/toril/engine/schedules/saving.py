"""Making, changing, pausing and resuming schedules: which slot is theirs then.

What a call has read may have moved on before it writes. The store notices, and the call begins
anew.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import msgspec

from toril.core.errors import BackendError, InvalidOptionError
from toril.engine.contract.schedules import Schedules
from toril.engine.schedules.record import ScheduleRecord, iteration
from toril.engine.schedules.slots import Timing, first_slot, next_slot, settled
from toril.engine.states import State

TRIES = 50
"""How often a call begins anew: others move the schedule on, or jobs of later slots are there."""

_replace = msgspec.structs.replace


class Next(NamedTuple):
    """A schedule as it is to be, and whether a job of its newest slot is to be made."""

    schedule: ScheduleRecord
    has_job: bool


Plan = Callable[[ScheduleRecord | None, int, int | None], Next | None]
"""From what is stored, the time, and a slot that is taken (later ones are not) to what is to be;
None: nothing is to be done."""


async def save(
    schedules: Schedules, wanted: ScheduleRecord, *, immediately: bool = False
) -> ScheduleRecord:
    """Make a schedule, or change one.

    With the same timing as before it keeps its slot and its count; one that pauses stays so.

    Parameters:
        schedules: The store's.
        wanted: All but `next_ms`, `made` and `count` is heeded. An offset is what the caller said.
        immediately: Its first job is due now.

    Raises:
        InvalidOptionError: It would never make a job, or its jitter is longer than its spans.
        BackendError: Others change it all the time.
    """

    def plan(old: ScheduleRecord | None, now_ms: int, taken_ms: int | None) -> Next:
        return planned(wanted, old, now_ms, taken_ms, immediately=immediately)

    offset_ms = wanted.timing.offset_ms
    saved = await change(schedules, wanted.queue, wanted.id, plan, offset_ms=offset_ms)
    assert saved is not None  # noqa: S101 - the plan always has one
    return saved


async def change(
    schedules: Schedules,
    queue: str,
    schedule_id: str,
    plan: Plan,
    *,
    offset_ms: int | None = None,
) -> ScheduleRecord | None:
    """Do what a plan says of a schedule as it is; return what is there then, or None."""
    taken_ms: int | None = None
    for _ in range(TRIES):
        reading = await schedules.read(queue, [schedule_id])
        old = reading.schedules[0]
        wanted = plan(old, reading.now_ms, taken_ms)
        if wanted is None:
            return old
        schedule = wanted.schedule
        job = None
        if wanted.has_job:
            job = iteration(
                schedule, schedule.next_ms, schedule.count, reading.now_ms,
                follows=False, offset_ms=offset_ms,
            )  # fmt: skip
        seen_ms = None if old is None else old.next_ms
        word = await schedules.put(schedule, job, seen_ms=seen_ms)
        if word == "ok":
            return schedule
        taken_ms = schedule.next_ms if word == "taken" else None
    raise BackendError(f"schedule {schedule_id!r} of queue {queue!r} is changed all the time")


def planned(
    wanted: ScheduleRecord,
    old: ScheduleRecord | None,
    now_ms: int,
    taken_ms: int | None,
    *,
    immediately: bool,
) -> Next:
    """Return a schedule as it is to be.

    Raises:
        InvalidOptionError: It would never make a job, or its jitter is longer than its spans.
    """
    made, count = (0, 0) if old is None else (old.made, old.count)
    beside = wanted.beside
    if old is not None and old.paused:
        beside = _replace(beside, paused=True)
    if old is not None and _same(wanted.timing, old.timing) and _goes_on(wanted, old, now_ms):
        timing = old.timing
        if old.paused:
            return Next(_as(wanted, timing, old.next_ms, made, count, beside), has_job=False)
        waits = old.is_pending and old.job_state is not State.ACTIVE
        if waits and taken_ms is None:
            return Next(_as(wanted, timing, old.next_ms, made, count, beside), has_job=True)
        # The newest runs or is over: the next one is to be made.
        slot_ms = next_slot(timing, max(old.next_ms, now_ms, taken_ms or 0))
        if slot_ms is None or (wanted.limit is not None and count >= wanted.limit):
            return Next(_as(wanted, timing, old.next_ms, made, count, beside), has_job=False)
        return Next(_as(wanted, timing, slot_ms, made + 1, count + 1, beside), has_job=True)
    slot_ms = first_slot(wanted.timing, now_ms, immediately=immediately)
    if slot_ms is None:
        raise InvalidOptionError(_never(wanted.timing))
    timing = _replace(wanted.timing, offset_ms=settled(wanted.timing, slot_ms))
    _check_jitter(wanted, timing, slot_ms)
    if taken_ms is not None:
        slot_ms = next_slot(timing, taken_ms)
        if slot_ms is None:
            raise InvalidOptionError(_never(timing))
    is_paused = old is not None and old.paused
    # As BullMQ counts: a schedule that gets another timing has made no more jobs than before.
    made = made if old is not None else 1
    return Next(
        _as(wanted, timing, slot_ms, made, 0 if is_paused else 1, beside), has_job=not is_paused
    )


def pausing(old: ScheduleRecord | None, now_ms: int, taken_ms: int | None) -> Next | None:
    """Plan that a schedule makes no jobs until it is resumed; its job that waits goes."""
    del taken_ms
    if old is None or old.paused:
        return None
    count, made, slot_ms = old.count, old.made, old.next_ms
    if old.job_state is State.ACTIVE:
        # Its worker is about to make the next one: it finds that the schedule has moved on.
        with suppress(InvalidOptionError):  # somebody else's nonsense has no next slot
            slot_ms = next_slot(old.timing, max(old.next_ms, now_ms)) or slot_ms
    elif old.is_pending:
        count, made = count - 1, max(0, made - 1)
    beside = _replace(old.beside, paused=True)
    return Next(_as(old, old.timing, slot_ms, made, count, beside), has_job=False)


def resuming(old: ScheduleRecord | None, now_ms: int, taken_ms: int | None) -> Next | None:
    """Plan that a schedule goes on with the next slot from now: what it let pass was not missed."""
    if old is None or not old.paused:
        return None
    beside = _replace(old.beside, paused=False)
    slot_ms = next_slot(old.timing, max(now_ms, taken_ms or 0))
    if slot_ms is None or (old.limit is not None and old.count >= old.limit):
        return Next(_as(old, old.timing, old.next_ms, old.made, old.count, beside), has_job=False)
    return Next(_as(old, old.timing, slot_ms, old.made + 1, old.count + 1, beside), has_job=True)


def has_ended(schedule: ScheduleRecord, now_ms: int) -> bool:
    """Whether a schedule will make no job any more, whatever happens.

    Raises:
        InvalidOptionError: It cannot be read: somebody else wrote it.
    """
    if schedule.limit is not None and schedule.count >= schedule.limit:
        return True
    return next_slot(schedule.timing, max(now_ms, schedule.next_ms)) is None


def _goes_on(wanted: ScheduleRecord, old: ScheduleRecord, now_ms: int) -> bool:
    """Whether there is anything left of a schedule to be kept."""
    if old.is_pending or old.paused:
        return True
    try:
        return not has_ended(_replace(old, limit=wanted.limit), now_ms)
    except InvalidOptionError:  # somebody else's nonsense
        return False


def _same(wanted: Timing, old: Timing) -> bool:
    if wanted.offset_ms is None:
        wanted = _replace(wanted, offset_ms=old.offset_ms)
    return wanted == old


def _as(
    wanted: ScheduleRecord,
    timing: Timing,
    slot_ms: int,
    made: int,
    count: int,
    beside: object,
) -> ScheduleRecord:
    return _replace(
        wanted, timing=timing, next_ms=slot_ms, made=made, count=count, beside=beside,
        job_state=None,
    )  # fmt: skip


def _check_jitter(wanted: ScheduleRecord, timing: Timing, slot_ms: int) -> None:
    """Refuse a jitter by which a job could come after that of the next slot."""
    jitter_ms = wanted.beside.jitter_ms
    after_ms = next_slot(timing, slot_ms) if jitter_ms else None
    if after_ms is not None and jitter_ms > after_ms - slot_ms:
        raise InvalidOptionError(
            f"jitter={jitter_ms / 1000:g}: expected at most what lies between two jobs,"
            f" {(after_ms - slot_ms) / 1000:g} s"
        )


def _never(timing: Timing) -> str:
    what = f"cron={timing.pattern!r}" if timing.every_ms is None else "every"
    if timing.end_ms is not None:
        return f"end: expected a moment after the first job; with {what} there is none before it"
    return f"{what}: expected a moment that comes"
