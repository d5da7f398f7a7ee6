"""The history of a queue as Python values: series of points with percentiles.

Read next: `tally.py` (what is counted), `contract/history.py` (where it comes from).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from toril.core.checks import require
from toril.core.clock import epoch_ms, moment
from toril.core.durations import seconds
from toril.engine.contract.history import MINUTE_MS, History, HistoryRow, Level
from toril.engine.tally import OTHERS, Tally, bucket_end_ms

MAX_POINTS: Final = 20_000
"""Of one series."""
DEFAULT_SPAN_S: Final = 6 * 3600.0
_STEPS_S: Final = (60, 300, 900, 3600, 21_600, 86_400, 7 * 86_400)
_FINE: Final = 180
"""A step is chosen that gives no more points than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something took, many times. Buckets in place of single figures."""

    count: int
    sum_s: float
    buckets: Mapping[float, int] = field(repr=False)
    """The longest duration of a bucket, in seconds, to how many it holds; ascending."""

    @property
    def mean_s(self) -> float | None:
        """The exact mean. None: there are none."""
        return self.sum_s / self.count if self.count else None

    @property
    def p50_s(self) -> float | None:
        """The median; see `percentile_s`."""
        return self.percentile_s(50)

    @property
    def p95_s(self) -> float | None:
        """What 95 of 100 stay below; see `percentile_s`."""
        return self.percentile_s(95)

    @property
    def p99_s(self) -> float | None:
        """What 99 of 100 stay below; see `percentile_s`."""
        return self.percentile_s(99)

    @property
    def longest_s(self) -> float | None:
        """The end of the last bucket that holds any: none was longer."""
        return self.percentile_s(100)

    def percentile_s(self, percent: float) -> float | None:
        """Return a percentile, in seconds: the end of the bucket that it lies in.

        So it is never below the true one, and at most 41 % above it. (Up to 1 ms is one bucket.)

        Parameters:
            percent: 0 to 100.

        Returns:
            None: there are none.

        Raises:
            InvalidOptionError: It is not from 0 to 100.
        """
        require(0 <= percent <= 100, "percent", percent, "a number from 0 to 100")
        wanted = max(1, math.ceil(self.count * percent / 100))
        for end_s, many in self.buckets.items():
            wanted -= many
            if wanted <= 0:
                return end_s
        return None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values: count, mean, percentiles and the longest."""
        return {
            "count": self.count,
            "mean_s": self.mean_s,
            "p50_s": self.p50_s,
            "p95_s": self.p95_s,
            "p99_s": self.p99_s,
            "longest_s": self.longest_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """What happened in one step of a series."""

    at: datetime
    """When the step begins."""
    completed: int
    failed: int
    """Jobs that failed for good."""
    retried: int
    """Attempts that failed and are tried again."""
    wait: Durations
    """From when a job could run to its start: of first starts, and of starts after a delay."""
    run: Durations
    """From its start to the end of the attempt, as the store saw it."""
    oldest_waiting_s: float | None
    """The greatest age that the next job in line was seen with, about once a minute. None: none
    waited, no worker was there to look, or the series is of one task."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values: moments as ISO texts, durations by their percentiles."""
        return {
            "at": self.at.isoformat(),
            "completed": self.completed,
            "failed": self.failed,
            "retried": self.retried,
            "wait": self.wait.plain(),
            "run": self.run.plain(),
            "oldest_waiting_s": self.oldest_waiting_s,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySeries:
    """What a queue, or one of its tasks, did in a span of time."""

    queue: str
    task: str | None
    step_s: float
    tasks: list[str]
    """The tasks that ended attempts in the span. `*`: names for which there was no room, or what
    BullMQ's own workers did, whose metrics hold no names."""
    points: list[HistoryPoint]
    """One for each step, oldest first, also where nothing happened."""
    total: HistoryPoint
    """All of them together."""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON values, as for a web page."""
        return {
            "queue": self.queue,
            "task": self.task,
            "step_s": self.step_s,
            "tasks": self.tasks,
            "total": self.total.plain(),
            "points": [point.plain() for point in self.points],
        }


async def series(
    history: History,
    queue: str,
    *,
    now_ms: int,
    task: str | None = None,
    since: datetime | float | timedelta | None = None,
    until: datetime | None = None,
    step: float | timedelta | None = None,
) -> HistorySeries:
    """Return what happened; the parameters are those of `App.history`."""
    until_ms = now_ms + 1 if until is None else _moment_ms(until, "until")
    if since is None:
        since_ms = until_ms - round(DEFAULT_SPAN_S * 1000)
    elif isinstance(since, datetime):
        since_ms = _moment_ms(since, "since")
    else:
        since_ms = now_ms - round(seconds(since, "since") * 1000)
    require(since_ms >= 0, "since", since, "a moment after 1970")
    require(since_ms < until_ms, "since", since, f"a moment before until={until or 'now'}")
    step_ms = _step_ms(step, since_ms, until_ms, now_ms)
    level = _level(step_ms)
    require(
        level is Level.DAY or since_ms >= now_ms - level.kept_ms - level.period_ms,
        "step",
        step,
        f"a longer one: steps of {_said(level)} are kept for {level.kept_ms // 86_400_000} days",
    )
    first_ms = since_ms - since_ms % step_ms
    ends_ms = until_ms + -until_ms % step_ms
    many = (ends_ms - first_ms) // step_ms
    require(many <= MAX_POINTS, "step", step, f"a longer one: {many:,} points are too many")
    rows = await history.read(queue, level, since_ms=first_ms, until_ms=ends_ms)
    names = sorted({row.task for row in rows if row.tally.attempts})
    tallies = [Tally() for _ in range(many)]
    total = Tally()
    for row in rows:
        place = (row.start_ms - first_ms) // step_ms
        if (task is None or row.task == task) and 0 <= place < many:
            tallies[place].merge(row.tally)
            total.merge(row.tally)
    return HistorySeries(
        queue=queue,
        task=task,
        step_s=step_ms / 1000,
        tasks=names,
        points=[_point(first_ms + place * step_ms, each) for place, each in enumerate(tallies)],
        total=_point(first_ms, total),
    )


def by_task(rows: Iterable[HistoryRow]) -> dict[str, Tally]:
    """Return what each task did, over all rows. The queue's own figures are left out."""
    found: dict[str, Tally] = {}
    for row in rows:
        if row.task:
            found.setdefault(row.task, Tally()).merge(row.tally)
    return dict(sorted(found.items(), key=lambda each: (each[0] == OTHERS, each[0])))


def durations(buckets: Mapping[int, int], sum_ms: float) -> Durations:
    """Return a histogram of a tally as Python values."""
    return Durations(
        count=sum(buckets.values()),
        sum_s=sum_ms / 1000,
        buckets={bucket_end_ms(one) / 1000: buckets[one] for one in sorted(buckets)},
    )


def _point(at_ms: int, tally: Tally) -> HistoryPoint:
    return HistoryPoint(
        at=moment(at_ms),
        completed=tally.completed,
        failed=tally.failed,
        retried=tally.retried,
        wait=durations(tally.waits, tally.wait_ms),
        run=durations(tally.runs, tally.run_ms),
        oldest_waiting_s=None if tally.oldest_ms < 0 else tally.oldest_ms / 1000,
    )


def _moment_ms(at: datetime, name: str) -> int:
    require(at.tzinfo is not None, name, at, "a moment with a time zone")
    return epoch_ms(at)


def _step_ms(step: float | timedelta | None, since_ms: int, until_ms: int, now_ms: int) -> int:
    if step is not None:
        step_ms = round(seconds(step, "step") * 1000)
        require(
            step_ms >= MINUTE_MS and step_ms % MINUTE_MS == 0,
            "step",
            step,
            "whole minutes, in seconds: 60, 300, 3600, 86400",
        )
        return step_ms
    for one in _STEPS_S:
        level = _level(one * 1000)
        is_kept = since_ms >= now_ms - level.kept_ms
        if is_kept and (until_ms - since_ms) / (one * 1000) <= _FINE:
            return one * 1000
    return _STEPS_S[-1] * 1000


def _level(step_ms: int) -> Level:
    """Return the longest periods of which a step is made."""
    return next(
        level for level in (Level.DAY, Level.HOUR, Level.MINUTE) if step_ms % level.period_ms == 0
    )


def _said(level: Level) -> str:
    return {Level.MINUTE: "minutes", Level.HOUR: "hours", Level.DAY: "days"}[level]
