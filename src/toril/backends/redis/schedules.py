"""Schedules: BullMQ's job schedulers, and beside them what BullMQ cannot say."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from toril.backends.redis.client import Client
from toril.backends.redis.counts import RedisCounts
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.scripts import script
from toril.core.reading import read_object, whole
from toril.engine.contract.dispatch import HeldJob
from toril.engine.contract.schedules import MissedSlots, Moved, Reading
from toril.engine.job import NewJob
from toril.engine.schedules.record import Beside, Declared, ScheduleRecord, count_of, template_of
from toril.engine.schedules.slots import Timing
from toril.engine.states import State

LOOK_CHUNK = 500
"""Schedules that one call looks at: a few milliseconds of the server's time."""

_BESIDE = msgspec.json.Decoder(Beside)
_DECLARED = msgspec.json.Decoder(Declared)


class RedisSchedules:
    """The role `Schedules`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: QueueRegister,
        counts: RedisCounts,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._counts = counts

    async def queues(self) -> list[str]:
        names = await self._counts.listed()
        there = await asyncio.gather(
            *(self._client.call("EXISTS", self._keys.of(name, "repeat")) for name in names)
        )
        return [name for name, found in zip(names, there, strict=True) if found]

    async def ids(self, queue: str) -> list[str]:
        found: list[str] = await self._client.call("ZRANGE", self._keys.of(queue, "repeat"), 0, -1)
        return found

    async def read(self, queue: str, ids: Sequence[str]) -> Reading:
        now_ms, rows = await self._run("read_schedules", queue, *ids)
        return Reading(
            now_ms,
            [
                None if row is None else _record(queue, schedule_id, row)
                for schedule_id, row in zip(ids, rows, strict=True)
            ],
        )

    async def put(
        self, schedule: ScheduleRecord, job: NewJob | None, *, seen_ms: int | None
    ) -> Moved:
        await self._known.use(schedule.queue)
        word: Moved = await self._run(
            "put_schedule",
            schedule.queue,
            schedule.id,
            "" if seen_ms is None else seen_ms,
            schedule.next_ms,
            _beside(schedule),
            "" if schedule.declared is None else _encoded(schedule.declared),
            _encoded(_fields(schedule)),
            *_job(job),
        )
        await self._known.announce(schedule.queue)
        return word

    async def advance(
        self,
        schedule: ScheduleRecord,
        job: NewJob | None,
        *,
        slot_ms: int,
        drop: HeldJob | None = None,
        missed: MissedSlots | None = None,
    ) -> Moved:
        told: list[str] = []
        if missed is not None:
            told = ["jobId", missed.job_id]
            for name, value in missed.fields.items():
                told += (name, value)
        word: Moved = await self._run(
            "advance_schedule",
            schedule.queue,
            schedule.id,
            slot_ms,
            "" if job is None else schedule.next_ms,
            schedule.made,
            _encoded(_fields(schedule)),
            "" if drop is None else drop.token,
            _encoded(told) if told else "",
            *_job(job),
        )
        return word

    async def declare(self, queue: str, schedule_id: str, declared: Declared) -> bool:
        noted: int = await self._client.run(
            script("declare_schedule"), [self._keys.meta(queue)], schedule_id, _encoded(declared)
        )
        return noted == 1

    async def remove(self, queue: str, schedule_id: str) -> bool:
        removed: int = await self._run("remove_schedule", queue, schedule_id)
        return removed == 1

    async def overdue(self, queue: str, *, grace_ms: int, limit: int) -> list[str]:
        found: list[str] = []
        start = 0
        while start >= 0 and len(found) < limit:
            start, ids = await self._run("overdue_schedules", queue, grace_ms, start, LOOK_CHUNK)
            found += ids
        if not found:
            return []
        # Those whose limit is reached stay, with a slot that has passed.
        reading = await self.read(queue, found[:limit])
        return [
            one.id
            for one in reading.schedules
            if one is not None and (one.limit is None or one.count < one.limit)
        ]

    async def _run(self, verb: str, queue: str, *arguments: str | int) -> Any:
        return await self._client.run(
            script(verb), [self._keys.meta(queue)], self._moments.frozen(), *arguments
        )


def _fields(schedule: ScheduleRecord) -> list[str]:
    timing = schedule.timing
    values: dict[str, object] = {
        "name": schedule.name,
        "every": timing.every_ms,
        "pattern": timing.pattern,
        "tz": timing.timezone,
        "limit": schedule.limit,
        "startDate": timing.start_ms,
        "endDate": timing.end_ms,
        "offset": timing.offset_ms or 0,
        "data": None if schedule.data in (None, "{}") else schedule.data,
        "opts": None if schedule.opts == "{}" else schedule.opts,
        "ic": schedule.made,
    }
    words: list[str] = []
    for name, value in values.items():
        if value is not None:
            words += (name, str(value))
    return words


def _job(job: NewJob | None) -> tuple[str | int, ...]:
    if job is None:
        return ()
    return (
        job.name,
        job.data,
        job.opts,
        job.priority,
        "yes" if job.lifo else "no",
        cast("int", job.run_at_ms),
        cast("int", job.timestamp_ms),
    )


def _beside(schedule: ScheduleRecord) -> str:
    beside = schedule.beside
    if beside.paused:
        beside = msgspec.structs.replace(beside, count=schedule.count)
    return "" if beside == Beside() else _encoded(beside)


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _record(queue: str, schedule_id: str, row: Sequence[Any]) -> ScheduleRecord:
    """Return a schedule, whoever wrote it. BullMQ 5 says the rest in the options of its job."""
    slot, fields, beside_text, job_state, (job_name, job_data, job_opts), declared_text = row
    name, every, pattern, tz, limit, start, end, offset, data, opts, made = fields or [None] * 11
    repeat = read_object(job_opts or "{}").get("repeat")
    if every is None and pattern is None and isinstance(repeat, dict):
        every, pattern = repeat.get("every"), repeat.get("pattern")
    if offset is None:  # BullMQ 5
        data = job_data if data is None else data
        opts = template_of(job_opts) if opts is None and job_opts is not None else opts
        if isinstance(repeat, dict):
            limit, start = limit or repeat.get("limit"), start or repeat.get("startDate")
            end, tz = end or repeat.get("endDate"), tz or repeat.get("tz")
    beside, declared = Beside(), None
    with suppress(ValueError):  # none of ours has written what cannot be read
        beside = _BESIDE.decode(beside_text or "{}")
        declared = None if declared_text is None else _DECLARED.decode(declared_text)
    newest = whole(slot)
    every_ms = _number(every)
    return ScheduleRecord(
        queue=queue,
        id=schedule_id,
        name=name or job_name or "",
        data=data,
        opts=opts or "{}",
        timing=Timing(
            every_ms=every_ms,
            pattern=None if every_ms is not None else pattern,
            timezone=tz if isinstance(tz, str) and tz else None,
            offset_ms=newest % every_ms if every_ms and offset is None else _number(offset),
            start_ms=_number(start),
            end_ms=_number(end),
        ),
        limit=_number(limit),
        made=1 if made is None else max(0, whole(made, 1)),
        count=_count(job_opts, beside, made),
        next_ms=newest,
        job_state=None if job_state is None else State(job_state),
        beside=msgspec.structs.replace(beside, count=0),
        declared=declared,
    )


def _count(job_opts: str | None, beside: Beside, made: str | None) -> int:
    if job_opts is not None and (count := count_of(job_opts)) is not None:
        return count
    if beside.paused:
        return beside.count
    return 1 if made is None else max(1, whole(made, 1))


def _number(value: object) -> int | None:
    """Return a number that is stored as text. Neither 0 nor less makes sense of any of these."""
    number = whole(value, -1)
    return number if number >= 0 else None
