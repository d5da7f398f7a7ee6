"""Two commits measured in turn: base, here, here, base. Whatever drifts meanwhile does so for both.

A ratio is made within each such round and never across rounds, so that a machine that is busy for a
while spoils one ratio and not all of them.
"""

from __future__ import annotations

import math
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.figures import Series
from benchmarks.isolated import MeasurementError, measure
from benchmarks.order import Order, Values
from benchmarks.rows import Group, Row
from benchmarks.stores import fresh_store
from benchmarks.table import number

Side = Literal["base", "here"]
ROUND: tuple[Side, ...] = ("base", "here", "here", "base")
CPU = "cpu_s"
"""Seconds of CPU that a measurement took, with all that it has started, the server included."""
LEAST = 1e-9
"""In place of 0, which a share of something too short for its clock may be."""
NO_DIFFERENCE = "no difference"

Measure = Callable[[Side, Order], Values]


@dataclass(slots=True)
class Rounds:
    """What was found for one measurement."""

    order: Order
    found: list[dict[Side, list[Values]]] = field(default_factory=list)
    """Round by round."""
    trouble: str | None = None
    """Why it was given up."""

    def series(self, side: Side, value: str) -> Series:
        """Return a figure of one side, over all rounds."""
        return Series.of([values[value] for one in self.found for values in one[side]])

    def ratios(self, value: str) -> Series:
        """Return, over the rounds, how many times larger a figure is here than at the base."""
        return Series.of(
            [_mean(one["here"], value) / _mean(one["base"], value) for one in self.found]
        )


def measured_in_turn(
    orders: Sequence[Order], *, rounds: int, measure: Measure, tell: Callable[[str], None]
) -> list[Rounds]:
    """Make all measurements, round by round, on both sides.

    Parameters:
        orders: Which.
        rounds: How many; each measures both sides twice.
        measure: Makes one measurement.
        tell: Takes a line for people who wait.
    """
    all_rounds = [Rounds(order) for order in orders]
    for index in range(rounds):
        tell(f"round {index + 1} of {rounds}")
        for one in all_rounds:
            if one.trouble is not None:
                continue
            found: dict[Side, list[Values]] = {"base": [], "here": []}
            try:
                for side in ROUND:
                    found[side].append(measure(side, one.order))
            except MeasurementError as error:
                one.trouble = str(error)
                tell(f"  failed: {error}")
                continue
            one.found.append(found)
            tell(f"  {one.order.label}")
    return all_rounds


def measured(order: Order, folder: Path, python: str) -> Values:
    """Make one measurement on a fresh store, and add what it took of the CPU.

    Raises:
        MeasurementError: It failed.
    """
    before_s = _cpu_of_children_s()
    with fresh_store(order.store, folder) as where:
        values = measure(order, where, python=python)
    return {**values, CPU: _cpu_of_children_s() - before_s}


def in_words(groups: Sequence[Group], all_rounds: Sequence[Rounds], *, base: str, here: str) -> str:
    """Return the table.

    Parameters:
        groups: Whose lines are shown, in order.
        all_rounds: What was found.
        base: What the base is called.
        here: What the other side is called.
    """
    by_order = {one.order: one for one in all_rounds if one.found and one.trouble is None}
    lines = [
        f"| Figure | Unit | {base} | {here} | Better by | Less CPU by |",
        "|---|---|---:|---:|---:|---:|",
    ]
    shown: set[Order] = set()
    for group in groups:
        for row in group.rows:
            if row.ours is not None and row.ours.order in by_order:
                order = row.ours.order
                lines.append(_line(row, by_order[order], first=order not in shown))
                shown.add(order)
    return "\n".join(lines)


def _line(row: Row, found: Rounds, *, first: bool) -> str:
    assert row.ours is not None
    value = row.ours.value
    base, here = found.series("base", value), found.series("here", value)
    ratios = found.ratios(value)
    cells = [
        f"{row.title} ({found.order.store})",
        row.unit,
        _spread(base),
        _spread(here),
        _ratio(ratios if row.better == "more" else _inverse(ratios)),
        # All lines of a measurement share what it took.
        _ratio(_inverse(found.ratios(CPU))) if first else "",
    ]
    return f"| {' | '.join(cells)} |"


def _spread(series: Series) -> str:
    return f"{number(series.median)} ({number(series.least)} to {number(series.most)})"


def _ratio(ratios: Series) -> str:
    word = f", {NO_DIFFERENCE}" if ratios.least <= 1 <= ratios.most else ""
    return f"{ratios.median:.3f} × ({ratios.least:.3f} to {ratios.most:.3f}){word}"


def _inverse(ratios: Series) -> Series:
    return Series(1 / ratios.median, 1 / ratios.most, 1 / ratios.least, ratios.runs)


def _mean(answers: Sequence[Values], value: str) -> float:
    """Return the geometric mean, which is as fair to a rate as to its inverse."""
    found = [max(values[value], LEAST) for values in answers]
    return math.exp(sum(map(math.log, found)) / len(found))


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
