"""A worker's part in schedules: it moves one on when it takes the job of a slot.

There is no leader. Whoever takes a job of a schedule makes the job of the next slot before it runs
the one that it took, fenced by the slot; the second attempt at a job, and the job that a killed
worker leaves behind, find that it was done. Should a worker be killed in between, or the store not
answer, the sweep of any worker finds the schedule standing still and moves it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from toril.core.clock import moment
from toril.core.durations import in_words
from toril.core.errors import BackendError, InvalidOptionError, StoreUnreachableError
from toril.core.loggers import logger
from toril.engine.contract.dispatch import HeldJob
from toril.engine.contract.schedules import MissedSlots, Schedules
from toril.engine.job import Claimed
from toril.engine.schedules.record import (
    ScheduleRecord,
    count_of,
    iteration,
    job_id_of,
    offset_of,
    slot_of,
    template_of,
)
from toril.engine.schedules.slots import COUNTED_AT_MOST, Timing, next_slot, spread_ms
from toril.engine.schedules.turn import Turn, turn

log = logger("toril.schedules")

GRACE_MS = 5_000
"""How long after its slot a schedule without a job is moved on by somebody else."""
CHUNK = 200
"""Schedules in one call."""
TRIES = 100
"""Slots that are tried whose jobs are there already."""
LAST_RETRY_S = 5.0

_replace = msgspec.structs.replace


class ScheduleKeeper:
    """Moves the schedules of some queues on."""

    def __init__(self, schedules: Schedules, *, timezone: str = "UTC") -> None:
        """Make a keeper.

        Parameters:
            schedules: The store's.
            timezone: Whose local time the expressions mean that do not say.
        """
        self._schedules = schedules
        self._timezone = timezone
        self._unread: set[tuple[str, str]] = set()
        """Schedules of which it was said that they cannot be read."""

    async def took(
        self, claimed: Claimed, hold: HeldJob, stopping: asyncio.Event | None = None
    ) -> bool:
        """Move on the schedule whose job was taken; return whether that job is to be run.

        Tries until the store answers, or the worker is stopped: then a sweep does it.
        """
        found = slot_of(claimed.id)
        if found is None:
            return True
        pause_s = 0.05
        while True:
            try:
                return await self._took(claimed, hold, *found)
            except BackendError as error:
                log.warning("schedule %r cannot be moved on yet: %s", found[0], error)
            except Exception:  # a fault of ours, or nonsense that somebody stored: the job is due
                log.exception("schedule %r cannot be moved on", found[0])
                return True
            if stopping is None or stopping.is_set():
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)
            pause_s = min(2 * pause_s, LAST_RETRY_S)

    async def _took(self, claimed: Claimed, hold: HeldJob, schedule_id: str, slot_ms: int) -> bool:
        reading = await self._schedules.read(claimed.queue, [schedule_id])
        schedule = reading.schedules[0]
        if schedule is None or schedule.next_ms != slot_ms:
            return True  # it was moved on, replaced or removed
        return await self._move_on(schedule, claimed, hold)

    async def tend(self, queues: Sequence[str]) -> int:
        """Move on the schedules of queues that stand still; return how many."""
        moved = 0
        looks = [self._schedules.overdue(queue, grace_ms=GRACE_MS, limit=CHUNK) for queue in queues]
        found = await asyncio.gather(*looks, return_exceptions=True)
        for queue, overdue in zip(queues, found, strict=True):
            if isinstance(overdue, StoreUnreachableError) or not isinstance(
                overdue, list | BackendError
            ):
                raise overdue
            if isinstance(overdue, BackendError):  # a key of this queue may hold what it should not
                log.warning("schedules of %s cannot be looked after: %s", queue, overdue)
                continue
            if not overdue:
                continue
            reading = await self._schedules.read(queue, overdue)
            for schedule in reading.schedules:
                if schedule is not None and not schedule.is_pending:
                    moved += await self._restart(schedule, reading.now_ms)
        return moved

    async def _restart(self, schedule: ScheduleRecord, now_ms: int) -> bool:
        """Move on a schedule that stands still; return whether it goes on.

        The job of its slot has run, or is gone. Whoever takes the one of the slot after it finds
        out what was missed, and tells it.
        """
        try:
            next_ms = next_slot(self._timing(schedule), schedule.next_ms)
        except InvalidOptionError as error:
            self._say_unread(schedule, error)
            return False
        wanted = Turn(next_ms, runs=True, missed=None)
        if next_ms is None or not await self._advance(schedule, wanted, now_ms, schedule.count):
            return False
        log.warning(
            "schedule %r of %s stood still, and goes on: the job of %s was over, and none followed",
            schedule.id,
            schedule.queue,
            moment(schedule.next_ms).isoformat(),
        )
        return True

    async def _move_on(self, schedule: ScheduleRecord, claimed: Claimed, hold: HeldJob) -> bool:
        """Move on a schedule whose job was taken; return whether that job is to be run."""
        if schedule.opts == "{}":
            # BullMQ hands options on from job to job, where the schedule has none of its own.
            schedule = _replace(schedule, opts=template_of(claimed.opts))
        slot_ms, now_ms = schedule.next_ms, claimed.started_ms
        jitter_ms = schedule.beside.jitter_ms
        count = count_of(claimed.opts) or schedule.count
        try:
            wanted = turn(
                self._timing(schedule),
                schedule.beside.missed,
                slot_ms=slot_ms,
                due_ms=slot_ms + spread_ms(schedule.queue, schedule.id, slot_ms, jitter_ms),
                now_ms=now_ms,
                count=count,
                limit=schedule.limit,
            )
        except InvalidOptionError as error:
            self._say_unread(schedule, error)
            return True
        if not await self._advance(
            schedule, wanted, now_ms, count, hold=hold, offset_ms=offset_of(claimed.opts)
        ):
            return True  # somebody else has
        if wanted.missed is not None:
            _log_missed(schedule, slot_ms, now_ms, wanted)
        return wanted.runs

    async def _advance(
        self,
        schedule: ScheduleRecord,
        wanted: Turn,
        now_ms: int,
        count: int,
        *,
        hold: HeldJob | None = None,
        offset_ms: int | None = None,
    ) -> bool:
        """Have the store do it; return whether it was this call that did."""
        slot_ms, next_ms = schedule.next_ms, wanted.next_ms
        missed = None if wanted.missed is None else _missed_slots(schedule, slot_ms, wanted)
        count = count + 1 if wanted.runs else count
        for _ in range(TRIES):
            after, job = schedule, None
            if next_ms is not None:
                after = _replace(schedule, next_ms=next_ms, made=schedule.made + 1, count=count)
                job = iteration(after, next_ms, count, now_ms, follows=True, offset_ms=offset_ms)
            if schedule.beside.paused and job is not None:  # BullMQ has given it a job: it goes on
                after = _replace(after, beside=_replace(after.beside, paused=False))
                word = await self._schedules.put(after, job, seen_ms=slot_ms)
            else:
                word = await self._schedules.advance(
                    after, job, slot_ms=slot_ms, drop=None if wanted.runs else hold, missed=missed
                )
            if word != "taken" or next_ms is None:
                return word == "ok"
            next_ms = next_slot(self._timing(schedule), next_ms)
        return False

    def _timing(self, schedule: ScheduleRecord) -> Timing:
        timing = schedule.timing
        if timing.pattern is not None and timing.timezone is None:
            return _replace(timing, timezone=self._timezone)
        return timing

    def _say_unread(self, schedule: ScheduleRecord, error: InvalidOptionError) -> None:
        one = (schedule.queue, schedule.id)
        if one not in self._unread:
            self._unread.add(one)
            log.error(
                "schedule %r of %s has ended, as it cannot be read: %s", schedule.id, one[0], error
            )


def _missed_slots(schedule: ScheduleRecord, slot_ms: int, wanted: Turn) -> MissedSlots:
    assert wanted.missed is not None  # noqa: S101 - the caller has looked
    return MissedSlots(
        job_id_of(schedule.id, slot_ms),
        {
            "schedule": schedule.id,
            "count": str(wanted.missed.many),
            "dropped": str(wanted.dropped),
            "policy": schedule.beside.missed,
            "from": str(wanted.missed.first_ms),
            "until": str(wanted.missed.last_ms),
        },
    )


def _log_missed(schedule: ScheduleRecord, slot_ms: int, now_ms: int, wanted: Turn) -> None:
    assert wanted.missed is not None  # noqa: S101 - the caller has looked
    many = f"{wanted.missed.many}"
    if wanted.missed.many >= COUNTED_AT_MOST and schedule.timing.every_ms is None:
        many = f"{COUNTED_AT_MOST} or more"
    log.warning(
        "schedule %r of %s is late by %s: %s slots from %s were missed, %d of them do not run"
        " (missed=%r)",
        schedule.id,
        schedule.queue,
        in_words(max(0, now_ms - slot_ms) / 1000),
        many,
        moment(slot_ms).isoformat(),
        wanted.dropped,
        schedule.beside.missed,
    )
