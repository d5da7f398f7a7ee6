"""Histories for charts: of one queue, or of several added up. Read for all readers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from toril.core.errors import TorilError
from toril.engine.history import Durations, HistoryPoint, HistorySeries
from toril.engine.info import QueueInfo
from toril.web.dashboard.page import N_
from toril.web.dashboard.visit import Visit

SPANS: Mapping[str, tuple[float, float]] = {
    "1h": (3600.0, 60.0),
    "6h": (6 * 3600.0, 300.0),
    "24h": (86_400.0, 900.0),
    "7d": (7 * 86_400.0, 3 * 3600.0),
    "30d": (30 * 86_400.0, 12 * 3600.0),
    "90d": (90 * 86_400.0, 86_400.0),
}
"""What a reader may choose: how long, and how long each point is, in seconds."""
SPAN_WORDS: Mapping[str, str] = {
    "1h": N_("the last hour"),
    "6h": N_("the last 6 hours"),
    "24h": N_("the last 24 hours"),
    "7d": N_("the last 7 days"),
    "30d": N_("the last 30 days"),
    "90d": N_("the last 90 days"),
}
AT_ONCE = 16
MOST_QUEUES = 1_000


async def histories(
    visit: Visit, names: Sequence[str], span: str, *, task: str | None = None
) -> dict[str, HistorySeries]:
    """Return the histories of some queues, which the reader may see.

    Parameters:
        visit: Who asks.
        names: Of the queues; at most 1,000 are read.
        span: A word of `SPANS`.
        task: Only of this task.
    """
    since_s, step_s = SPANS[span]
    gate = asyncio.Semaphore(AT_ONCE)
    # A figure that covers weeks does not change within seconds.
    keep_s = max(visit.options.tick_s, min(60.0, step_s / 10))

    async def one(name: str) -> tuple[str, HistorySeries | None]:
        async def read() -> HistorySeries | None:
            async with gate:
                try:
                    return await visit.app.history(name, task=task, since=since_s, step=step_s)
                except TorilError:  # a queue that has just gone
                    return None

        return name, await visit.share(("history", name, span, task), keep_s, read)

    found = await asyncio.gather(*(one(name) for name in names[:MOST_QUEUES]))
    return {name: series for name, series in found if series is not None}


def has_ended(info: QueueInfo) -> bool:
    """Whether any job of a queue has ended: else its history is not worth a look."""
    return bool(info.completed_total or info.failed_total or info.completed or info.failed)


async def added_up(
    visit: Visit, found: Mapping[str, HistorySeries], span: str
) -> list[HistoryPoint]:
    """Return histories as one, added up once for all who may see the same queues."""

    async def add() -> list[HistoryPoint]:
        return await asyncio.to_thread(added, found.values())

    if not visit.refreshes:
        return await add()
    return await visit.share(("added", tuple(found), span), visit.options.tick_s, add)


def added(found: Iterable[HistorySeries]) -> list[HistoryPoint]:
    """Return histories of the same span and step as one; none of none."""
    all_points = [series.points for series in found]
    if not all_points:
        return []
    length = min(map(len, all_points))  # a step may have ended between two of them
    return [merged([points[place - length] for points in all_points]) for place in range(length)]


def merged(points: Sequence[HistoryPoint]) -> HistoryPoint:
    """Return points of the same step as one."""
    if len(points) == 1:
        return points[0]
    ages = [point.oldest_waiting_s for point in points if point.oldest_waiting_s is not None]
    return HistoryPoint(
        at=points[0].at,
        completed=sum(point.completed for point in points),
        failed=sum(point.failed for point in points),
        retried=sum(point.retried for point in points),
        wait=_durations([point.wait for point in points if point.wait.count]),
        run=_durations([point.run for point in points if point.run.count]),
        oldest_waiting_s=max(ages, default=None),
    )


def _durations(many: Sequence[Durations]) -> Durations:
    buckets: dict[float, int] = {}
    for one in many:
        for end_s, count in one.buckets.items():
            buckets[end_s] = buckets.get(end_s, 0) + count
    return Durations(
        count=sum(one.count for one in many),
        sum_s=sum(one.sum_s for one in many),
        buckets=dict(sorted(buckets.items())),
    )
