"""From answers to figures: the median of the runs, with the least and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from benchmarks.order import Order
from benchmarks.plan import Row, Source
from benchmarks.runs import Found

OVERLOAD_DRIFT_MS = 100.0
"""A latency that grows by more than this within a run is a queue that only gets longer."""


class Series(msgspec.Struct, frozen=True):
    """One figure over some runs."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Series:
        """Return the series of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the table, filled in."""

    section: str
    group: str
    title: str
    unit: str
    better: Literal["more", "less"]
    toril: Series | None
    huey: Series | None
    advantage: float | None
    """How many times better Toril's median is; below 1: worse."""
    note: str | None


def figures_of(all_found: Sequence[Found]) -> list[Figure]:
    """Return all figures, and a line for the best of each peer at processing."""
    figures: list[Figure] = []
    for found in all_found:
        group = found.group
        figures += [_figure(row, found) for row in group.rows]
        of_section = [figure for figure in figures if figure.section == group.section]
        if group.name == "process-1000" and (best := _best(of_section)) is not None:
            figures.append(best)
    return figures


def _figure(row: Row, found: Found) -> Figure:
    ours, theirs = _series(row.ours, found), _series(row.theirs, found)
    orders = [source.order for source in (row.ours, row.theirs) if source]
    failed = [order.label for order in orders if order in found.failures]
    overloaded = [order.label for order in orders if _overloaded(order, found)]
    note = row.note
    if failed:
        note = f"failed: {', '.join(failed)}"
    elif overloaded:
        note = f"could not keep up with the rate, so no ratio: {', '.join(overloaded)}"
    return Figure(
        section=found.group.section,
        group=found.group.name,
        title=row.title,
        unit=row.unit,
        better=row.better,
        toril=ours,
        huey=theirs,
        advantage=None if overloaded else _advantage(ours, theirs, row.better),
        note=note,
    )


def _overloaded(order: Order, found: Found) -> bool:
    answers = found.answers.get(order, [])
    return any(values.get("drift_ms", 0.0) > OVERLOAD_DRIFT_MS for values in answers)


def _series(source: Source | None, found: Found) -> Series | None:
    if source is None or source.order in found.failures:
        return None
    answers = found.answers.get(source.order, [])
    return Series.of([values[source.value] for values in answers]) if answers else None


def _advantage(
    ours: Series | None, theirs: Series | None, better: Literal["more", "less"]
) -> float | None:
    if ours is None or theirs is None:
        return None
    above, below = (ours, theirs) if better == "more" else (theirs, ours)
    return above.median / below.median if below.median else None


def _best(figures: Sequence[Figure]) -> Figure | None:
    """Return the fastest of each, so that nobody is judged at a concurrency that does not suit."""
    processing = [figure for figure in figures if figure.group.startswith("process-")]
    ours = max((f for f in processing if f.toril), key=_toril_median, default=None)
    theirs = max((f for f in processing if f.huey), key=_huey_median, default=None)
    if ours is None or theirs is None:
        return None
    return Figure(
        section=ours.section,
        group="process-best",
        title="process, each peer at its best",
        unit="jobs/s",
        better="more",
        toril=ours.toril,
        huey=theirs.huey,
        advantage=_advantage(ours.toril, theirs.huey, "more"),
        note=f"Toril at “{ours.title}”, Huey at “{theirs.title}”",
    )


def _toril_median(figure: Figure) -> float:
    return figure.toril.median if figure.toril else 0.0


def _huey_median(figure: Figure) -> float:
    return figure.huey.median if figure.huey else 0.0
