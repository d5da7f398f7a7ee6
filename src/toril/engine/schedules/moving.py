"""Moves the schedules of a paused queue to another store, each with the job of its next slot.

A schedule is made there first and removed here afterwards, so that none is lost if the move is cut
short; the next run finds it in both, and goes on.
"""

from __future__ import annotations

import msgspec

from toril.core.errors import MigrationError
from toril.engine.contract.schedules import Schedules
from toril.engine.schedules.record import ScheduleRecord, iteration

CHUNK = 200
"""Schedules in one call."""

_replace = msgspec.structs.replace


async def move_schedules(source: Schedules, target: Schedules, queue: str) -> int:
    """Move the schedules of a queue that is paused in both stores; return how many.

    Raises:
        MigrationError: The target has another schedule of an id.
    """
    moved = 0
    while ids := await source.ids(queue):
        batch = ids[:CHUNK]
        reading = await source.read(queue, batch)
        theirs = await target.read(queue, batch)
        for here, there in zip(reading.schedules, theirs.schedules, strict=True):
            if here is None:
                continue
            if there is None:
                await _make(target, here, reading.now_ms)
            elif not _is_same(here, there):
                raise MigrationError(
                    f"queue {queue!r}: the target has another schedule {here.id!r}. Remove one of"
                    " the two, and move the queue again; it is paused in both stores until then"
                )
            await _remove(source, here)
            moved += 1
    return moved


async def _make(target: Schedules, here: ScheduleRecord, now_ms: int) -> None:
    job = None
    if here.is_pending:
        job = iteration(here, here.next_ms, here.count, now_ms, follows=False)
    if await target.put(here, job, seen_ms=None) != "ok":
        raise MigrationError(
            f"queue {here.queue!r}: the target has a job {here.job_id!r}, or somebody makes"
            f" schedule {here.id!r} there just now. Move the queue again"
        )


async def _remove(source: Schedules, here: ScheduleRecord) -> None:
    """Remove a schedule with its job, also one that is in line: the target has it."""
    paused = _replace(here, beside=_replace(here.beside, paused=True))
    await source.put(paused, None, seen_ms=here.next_ms)
    await source.remove(here.queue, here.id)


def _is_same(here: ScheduleRecord, there: ScheduleRecord) -> bool:
    """Whether the target's schedule is this one, from a run that was cut short."""
    return (there.name, there.data, there.timing, there.next_ms) == (
        here.name,
        here.data,
        here.timing,
        here.next_ms,
    )
