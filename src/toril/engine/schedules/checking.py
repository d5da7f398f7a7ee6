"""What a doctor has to say of schedules. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from toril.engine.contract.lifecycle import Finding
from toril.engine.contract.schedules import Schedules
from toril.engine.schedules.record import ScheduleRecord

STILL_MS = 120_000
"""How long a schedule may stand still: any worker of its queue moves it on within a minute."""
CHUNK = 200
"""Schedules in one call."""
SHOWN = 3
"""How many are named."""


async def findings(
    schedules: Schedules, problem: Callable[[ScheduleRecord], str | None]
) -> list[Finding]:
    """Return what is to be said; nothing if there are no schedules.

    Parameters:
        schedules: The store's.
        problem: Says in a sentence why a schedule's jobs could not be run.
    """
    found: list[Finding] = []
    many = 0
    for queue in await schedules.queues():
        ids = await schedules.ids(queue)
        many += len(ids)
        for start in range(0, len(ids), CHUNK):
            reading = await schedules.read(queue, ids[start : start + CHUNK])
            for one in reading.schedules:
                text = None if one is None else problem(one)
                if one is not None and text is not None:
                    found.append(Finding(f"schedule {one.id} of {queue}", "warning", text))
        still = await schedules.overdue(queue, grace_ms=STILL_MS, limit=CHUNK)
        if still:
            named = ", ".join(still[:SHOWN]) + (", …" if len(still) > SHOWN else "")
            text = (
                f"schedules stand still: {len(still)} ({named}); their last job is over or gone,"
                f" and none followed. Start a worker of {queue}: it lets them go on"
            )
            found.append(Finding(f"schedules of {queue}", "warning", text))
    if many and not found:
        return [Finding("schedules", "ok", f"{many:,}, and each goes on")]
    return found
