"""Runs the groups: each measurement in a fresh process on a fresh store, the peers in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.isolated import MeasurementError, measure
from benchmarks.order import Order, Values
from benchmarks.rows import Group
from benchmarks.stores import fresh_store


@dataclass(slots=True)
class Found:
    """The answers to each order of a group, one for each run."""

    group: Group
    answers: dict[Order, list[Values]] = field(default_factory=dict)
    failures: dict[Order, str] = field(default_factory=dict)
    """What went wrong. A failed order has no further run: it would fail again, slowly."""


def run_groups(
    groups: Sequence[Group], *, runs: int, folder: Path, tell: Callable[[str], None]
) -> list[Found]:
    """Make all measurements, and return what was found for each group.

    Parameters:
        groups: Which, in order.
        runs: How often each.
        folder: Where stores are made, and removed again.
        tell: Takes a line for people who wait.
    """
    all_found = []
    for number, group in enumerate(groups, start=1):
        times = 1 if group.once else runs
        tell(f"[{number}/{len(groups)}] {group.name}, {group.section.name}, runs: {times}")
        found = Found(group)
        for _ in range(times):
            for order in group.orders:
                if order not in found.failures:
                    _run(order, found, folder, tell)
        all_found.append(found)
    return all_found


def _run(order: Order, found: Found, folder: Path, tell: Callable[[str], None]) -> None:
    with fresh_store(order.store, folder) as where:
        try:
            values = measure(order, where)
        except MeasurementError as error:
            found.failures[order] = str(error)
            tell(f"  failed: {error}")
            return
    found.answers.setdefault(order, []).append(values)
    tell(f"  {order.label}: " + ", ".join(f"{name} {value:,.2f}" for name, value in values.items()))
