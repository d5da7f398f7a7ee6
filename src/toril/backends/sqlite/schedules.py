"""Schedules: kept in a table of their own; their jobs are jobs like any other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, cast

import msgspec

from toril.backends.sqlite.adding import add_jobs
from toril.backends.sqlite.lookup import find
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.contract.dispatch import HeldJob
from toril.engine.contract.schedules import MissedSlots, Moved, Reading
from toril.engine.events import EventName
from toril.engine.job import NewJob
from toril.engine.schedules.record import Beside, Declared, ScheduleRecord, job_id_of, slot_of
from toril.engine.schedules.slots import Timing
from toril.engine.states import FINISHED, State

_BESIDE = msgspec.json.Decoder(Beside)
_DECLARED = msgspec.json.Decoder(Declared)


class SqliteSchedules:
    """The role `Schedules`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def queues(self) -> list[str]:
        return await self._reader.ask(
            lambda view: [name for (name,) in view.run("schedules_queues")]
        )

    async def ids(self, queue: str) -> list[str]:
        def question(view: View) -> list[str]:
            rows = view.run("queue_get", queue)
            return [one for (one,) in view.run("schedules_ids", rows[0][0])] if rows else []

        return await self._reader.ask(question)

    async def read(self, queue: str, ids: Sequence[str]) -> Reading:
        def question(view: View) -> Reading:
            rows = view.run("queue_get", queue)
            now_ms = self._clock.now_ms()
            if not rows:
                return Reading(now_ms, [None] * len(ids))
            wanted = msgspec.json.encode(ids).decode()
            found = {row[0]: row for row in view.run("schedules_read", wanted, rows[0][0])}
            return Reading(
                now_ms, [_record(queue, found[one]) if one in found else None for one in ids]
            )

        return await self._reader.ask(question)

    async def put(
        self, schedule: ScheduleRecord, job: NewJob | None, *, seen_ms: int | None
    ) -> Moved:
        def transition(transaction: Transaction) -> Moved:
            row = transaction.queue(schedule.queue)
            if transaction.value("schedule_next", row.id, schedule.id) != seen_ms:
                return "passed"
            before = None
            if seen_ms is not None:
                before = find(transaction, row.id, job_id_of(schedule.id, seen_ms))
            waits = before is not None and before.state not in (*FINISHED, State.ACTIVE)
            target = None if job is None else find(transaction, row.id, cast("str", job.job_id))
            if target is not None and (before is None or target.id != before.id or not waits):
                return "taken"
            if before is not None and waits:
                remove_jobs(transaction, row, before.state, [before.number])
                if job is None:
                    row.say(EventName.REMOVED, before.id, {"prev": before.state.value})
            if job is not None:
                add_jobs(transaction, [job])
            timing = schedule.timing
            transaction.run(
                "schedule_put", row.id, schedule.id, schedule.name, schedule.data, schedule.opts,
                timing.every_ms, timing.pattern, timing.timezone, timing.offset_ms,
                timing.start_ms, timing.end_ms, schedule.limit, schedule.made, schedule.count,
                schedule.next_ms, *_beside(schedule.beside),
                _declared(schedule.declared),
            )  # fmt: skip
            return "ok"

        return await self._writer.run(transition)

    async def advance(
        self,
        schedule: ScheduleRecord,
        job: NewJob | None,
        *,
        slot_ms: int,
        drop: HeldJob | None = None,
        missed: MissedSlots | None = None,
    ) -> Moved:
        def transition(transaction: Transaction) -> Moved:
            row = transaction.find_queue(schedule.queue)
            if row is None or transaction.value("schedule_next", row.id, schedule.id) != slot_ms:
                return "passed"
            if job is not None and find(transaction, row.id, cast("str", job.job_id)) is not None:
                return "taken"
            if drop is not None:
                _drop(transaction, row, schedule, slot_ms, drop)
            if missed is not None:
                row.say(EventName.MISSED, missed.job_id, missed.fields)
            if job is not None:
                add_jobs(transaction, [job])
                transaction.run(
                    "schedule_advance", schedule.made, schedule.count, schedule.next_ms,
                    row.id, schedule.id,
                )  # fmt: skip
            return "ok"

        return await self._writer.run(transition)

    async def declare(self, queue: str, schedule_id: str, declared: Declared) -> bool:
        def transition(transaction: Transaction) -> bool:
            row = transaction.find_queue(queue)
            if row is None:
                return False
            words = (_declared(declared), row.id, schedule_id)
            return transaction.changed("schedule_declare", *words) > 0

        return await self._writer.run(transition)

    async def remove(self, queue: str, schedule_id: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            row = transaction.find_queue(queue)
            if row is None:
                return False
            next_ms = transaction.value("schedule_next", row.id, schedule_id)
            if next_ms is None:
                return False
            transaction.run("schedule_remove", row.id, schedule_id)
            job = find(transaction, row.id, job_id_of(schedule_id, next_ms))
            if job is not None and job.state is State.DELAYED:
                remove_jobs(transaction, row, job.state, [job.number])
                row.say(EventName.REMOVED, job.id, {"prev": job.state.value})
            return True

        return await self._writer.run(transition)

    async def overdue(self, queue: str, *, grace_ms: int, limit: int) -> list[str]:
        def question(view: View) -> list[str]:
            rows = view.run("queue_get", queue)
            if not rows:
                return []
            now_ms = self._clock.now_ms()
            found = view.run("schedules_overdue", rows[0][0], now_ms - grace_ms, now_ms, limit)
            return [one for (one,) in found]

        return await self._reader.ask(question)


def is_next(transaction: Transaction, row: QueueRow, job_id: str) -> bool:
    """Whether a job is the next one of its schedule: only its schedule may remove it then."""
    made = slot_of(job_id)
    return made is not None and transaction.value("schedule_next", row.id, made[0]) == made[1]


def is_of_schedule(transaction: Transaction, row: QueueRow, job_id: str) -> bool:
    """Whether a schedule that is there has made a job: it is not given up for its lost workers."""
    made = slot_of(job_id)
    return made is not None and transaction.value("schedule_next", row.id, made[0]) is not None


def next_jobs(transaction: Transaction, row: QueueRow) -> frozenset[int]:
    """Return the numbers of the jobs that are the next ones of their schedules."""
    return frozenset(number for (number,) in transaction.run("schedules_pending", row.id))


def _drop(
    transaction: Transaction, row: QueueRow, schedule: ScheduleRecord, slot_ms: int, hold: HeldJob
) -> None:
    """Remove the job that a claim holds, unless somebody else holds it by now."""
    numbers = msgspec.json.encode([hold.number]).decode()
    held = msgspec.json.decode(transaction.value("held", numbers))
    if held and held[0][1] == hold.token:
        remove_jobs(transaction, row, State.ACTIVE, [cast("int", hold.number)])
        job_id = job_id_of(schedule.id, slot_ms)
        row.say(EventName.REMOVED, job_id, {"prev": State.ACTIVE.value})


def _declared(declared: Declared | None) -> str | None:
    return None if declared is None else msgspec.json.encode(declared).decode()


def _beside(beside: Beside) -> tuple[int, str]:
    return int(beside.paused), msgspec.json.encode(beside).decode()


def _record(queue: str, row: tuple[Any, ...]) -> ScheduleRecord:
    beside, declared = Beside(), None
    with suppress(ValueError):  # none of ours has written what cannot be read
        beside = _BESIDE.decode(row[14])
        declared = None if row[16] is None else _DECLARED.decode(row[16])
    return ScheduleRecord(
        queue=queue,
        id=row[0],
        name=row[1],
        data=row[2],
        opts=row[3],
        timing=Timing(
            every_ms=row[4],
            pattern=row[5],
            timezone=row[6],
            offset_ms=row[7],
            start_ms=row[8],
            end_ms=row[9],
        ),
        limit=row[10],
        made=row[11],
        count=row[12],
        next_ms=row[13],
        beside=beside,
        job_state=None if row[15] is None else State(row[15]),
        declared=declared,
    )
