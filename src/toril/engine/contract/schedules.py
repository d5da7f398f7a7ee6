"""Rules that make jobs. A store keeps them, and moves one on; which slot is next is the engine's.

The job of the next slot is made as soon as the one before it is taken, so that a schedule costs
nothing until it is due. Every move is fenced by the slot that was seen: of many who make the same
move one succeeds, and no slot gets two jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from toril.engine.contract.dispatch import HeldJob
from toril.engine.job import NewJob
from toril.engine.schedules.record import Declared, ScheduleRecord

Moved = Literal["ok", "passed", "taken"]
"""What became of a move. `passed`: another slot is its newest by now, or it is gone. `taken`: a
job of that slot is there already. Neither has changed anything."""


class Reading(msgspec.Struct, frozen=True):
    """Some schedules, of one moment."""

    now_ms: int
    """The store's time."""
    schedules: list[ScheduleRecord | None]
    """In the order that was asked for. None: there is none of that id."""


class MissedSlots(msgspec.Struct, frozen=True):
    """What the event `missed` tells."""

    job_id: str
    """The job of the first of them."""
    fields: dict[str, str]


class Schedules(Protocol):
    """Schedules by queue and id."""

    async def queues(self) -> list[str]:
        """Return the queues that have schedules, by name."""
        ...

    async def ids(self, queue: str) -> list[str]:
        """Return the ids of a queue's schedules, in the order of their newest slots.

        Cost: O(schedules); 10,000 in one call are a few milliseconds.
        """
        ...

    async def read(self, queue: str, ids: Sequence[str]) -> Reading:
        """Return schedules of a queue. The caller asks for a few hundred at a time.

        Whatever somebody else wrote is returned as it is: it may have no sensible timing.
        """
        ...

    async def put(
        self, schedule: ScheduleRecord, job: NewJob | None, *, seen_ms: int | None
    ) -> Moved:
        """Make a schedule, or replace one.

        The job of the slot that was its newest is removed if it has not begun; replaced, that is no
        event.

        Parameters:
            schedule: As it is from now on, with the slot of the job as its newest.
            job: The job of that slot. None: it gets none, since it pauses or has ended.
            seen_ms: The newest slot when the caller last looked. None: there was no schedule.
        """
        ...

    async def advance(
        self,
        schedule: ScheduleRecord,
        job: NewJob | None,
        *,
        slot_ms: int,
        drop: HeldJob | None = None,
        missed: MissedSlots | None = None,
    ) -> Moved:
        """Move a schedule on to its next slot, if the newest is still the one that was seen.

        Parameters:
            schedule: As it is then; of it the slot and the counts are written, and what the store
                lacks of a schedule that BullMQ 5 has made.
            job: The job of that slot. None: it has ended, and nothing of it changes.
            slot_ms: The slot that was seen.
            drop: Remove the job that this claim holds, as its slot is not run. Event `removed`.
            missed: What to tell, if any slots were missed.
        """
        ...

    async def declare(self, queue: str, schedule_id: str, declared: Declared) -> bool:
        """Write which code declares a schedule, and when; return whether there is one."""
        ...

    async def remove(self, queue: str, schedule_id: str) -> bool:
        """Remove a schedule; return whether there was one.

        Its newest job goes too, if it is delayed; one that is in line still runs.
        """
        ...

    async def overdue(self, queue: str, *, grace_ms: int, limit: int) -> list[str]:
        """Return schedules that should go on and do not: up to `limit`.

        Their newest slot has come longer than `grace_ms` ago, its job has finished or is gone, and
        they are neither paused nor ended. That is so after a worker was killed at one moment, and
        when somebody removed the job.
        """
        ...
