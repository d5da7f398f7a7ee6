"""Schedules that code declares: brought in line with the store by every worker.

Several versions of the code may be at work during a deploy, with several workers each. So nothing
that a live worker declares is taken away, and what a newer version has replaced an older one does
not put back, for as long as workers of the newer one are at work: they say so every few minutes.
An edit by hand stays until the code says something else than before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from toril.core.loggers import logger
from toril.engine.contract.schedules import Schedules
from toril.engine.schedules.record import Declared, ScheduleRecord
from toril.engine.schedules.saving import save

log = logger("toril.schedules")

SAY_AGAIN_MS = 3 * 60_000
"""How often the workers together say that the code still has a schedule."""
FRESH_MS = 10 * 60_000
"""For so long after it was said it holds."""
BEFORE_AT_MOST = 10
"""Replaced definitions that are remembered."""
CHUNK = 200
"""Schedules in one call."""

_replace = msgspec.structs.replace


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schedule as code declares it."""

    schedule: ScheduleRecord
    """All but its slot and its counts."""
    immediately: bool
    by: str
    """Whose code it is: the top-level package of the function."""

    @property
    def print(self) -> str:
        """The fingerprint of the definition."""
        one = self.schedule
        facts = (one.name, one.data, one.opts, one.timing, one.limit, one.beside)
        text = msgspec.json.encode([*facts, self.immediately])
        return hashlib.sha256(text).hexdigest()[:16]


async def reconcile(
    schedules: Schedules,
    declarations: Sequence[Declaration],
    queues: Sequence[str],
    by: frozenset[str],
    seen: Callable[[ScheduleRecord], None] = lambda schedule: None,
) -> None:
    """Bring the schedules of some queues in line with what code declares.

    Parameters:
        schedules: The store's.
        declarations: All that the code has; those of other queues are left to their workers.
        queues: Those that this worker serves.
        by: Whose code this is: only what the same code has declared is ever removed.
        seen: Told each schedule that was there.

    Raises:
        InvalidOptionError: One of them would never make a job.
    """
    stored = await asyncio.gather(*map(schedules.ids, queues))
    for queue, theirs in zip(queues, stored, strict=True):
        wanted = {one.schedule.id: one for one in declarations if one.schedule.queue == queue}
        found: dict[str, ScheduleRecord] = {}
        now_ms = 0
        ids = [*dict.fromkeys((*theirs, *wanted))]
        for start in range(0, len(ids), CHUNK):
            reading = await schedules.read(queue, ids[start : start + CHUNK])
            now_ms = reading.now_ms
            found |= {one.id: one for one in reading.schedules if one is not None}
        for old in found.values():
            seen(old)
            if old.id not in wanted:
                await _remove_if_gone(schedules, old, by, now_ms)
        for declaration in wanted.values():
            await _settle(schedules, declaration, found.get(declaration.schedule.id), now_ms)


async def _settle(
    schedules: Schedules, declaration: Declaration, old: ScheduleRecord | None, now_ms: int
) -> None:
    said = None if old is None else old.declared
    mark = Declared(declaration.by, declaration.print, now_ms)
    if said is not None:
        fresh = now_ms - said.at_ms < FRESH_MS
        if said.print == mark.print:
            if not 0 <= now_ms - said.at_ms < SAY_AGAIN_MS:
                await schedules.declare(
                    declaration.schedule.queue,
                    declaration.schedule.id,
                    _replace(said, at_ms=now_ms),
                )
            return
        if fresh and mark.print in said.before:
            return  # a newer version is at work
        before = [one for one in (*said.before, said.print) if one != mark.print]
        mark = _replace(mark, before=tuple(before[-BEFORE_AT_MOST:]))
    wanted = _replace(declaration.schedule, declared=mark)
    saved = await save(schedules, wanted, immediately=declaration.immediately and old is None)
    log.info("schedule %r of %s is as the code declares it", saved.id, saved.queue)


async def _remove_if_gone(
    schedules: Schedules, old: ScheduleRecord, by: frozenset[str], now_ms: int
) -> None:
    said = old.declared
    if said is None or said.by not in by or now_ms - said.at_ms < FRESH_MS:
        return
    if await schedules.remove(old.queue, old.id):
        log.warning("schedule %r of %s was removed: no code has it any more", old.id, old.queue)
