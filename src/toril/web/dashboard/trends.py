"""What queues did in the last hour, for the small lines in lists. Read for all readers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from toril.core.errors import TorilError
from toril.web.dashboard.visit import Visit

SPAN_S = 3600.0
STEP_S = 120.0
KEEP_S = 30.0
AT_ONCE = 16
"""Histories that are read at the same time."""


class Trend(msgspec.Struct, frozen=True):
    """The last hour of a queue."""

    done: list[int]
    """Jobs that ended, in each two minutes, oldest first."""
    failed: int
    """Jobs that failed for good in the hour."""
    wait_p95_s: float | None
    per_min: float
    """Jobs that ended, a minute, over the last ten minutes."""


async def trends(visit: Visit, names: Sequence[str]) -> dict[str, Trend]:
    """Return the last hour of some queues, which the reader may see.

    A queue that cannot be read is left out.
    """
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> tuple[str, Trend | None]:
        async def read() -> Trend | None:
            async with gate:
                return await _read(visit, name)

        return name, await visit.share(("trend", name), KEEP_S, read)

    found = await asyncio.gather(*(one(name) for name in names))
    return {name: trend for name, trend in found if trend is not None}


async def _read(visit: Visit, name: str) -> Trend | None:
    try:
        found = await visit.app.history(name, since=SPAN_S, step=STEP_S)
    except TorilError:
        return None
    done = [point.completed + point.failed for point in found.points]
    return Trend(
        done=done,
        failed=found.total.failed,
        wait_p95_s=found.total.wait.p95_s,
        per_min=sum(done[-5:]) / (5 * STEP_S / 60),
    )
