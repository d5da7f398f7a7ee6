"""Runs the groups: each measurement in a fresh process on a fresh store, the peers in turn.

The order of a group's measurements is drawn anew for each run: who always comes after the same
other would always find the machine as that one has left it.
"""

from __future__ import annotations

import random
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
    groups: Sequence[Group], *, runs: int, seed: int, folder: Path, tell: Callable[[str], None]
) -> list[Found]:
    """Make all measurements, and return what was found for each group.

    Parameters:
        groups: Which, in order.
        runs: How often each.
        seed: From which their order is drawn.
        folder: Where stores are made, and removed again.
        tell: Takes a line for people who wait.
    """
    all_found = []
    for number, group in enumerate(groups, start=1):
        times = 1 if group.once else runs
        tell(f"[{number}/{len(groups)}] {group.name}, {group.section.name}, runs: {times}")
        found = Found(group)
        for run in range(times):
            for order in in_random_order(group, seed=seed, run=run):
                if order not in found.failures:
                    _run(order, found, folder, tell)
        all_found.append(found)
    return all_found


def in_random_order(group: Group, *, seed: int, run: int) -> list[Order]:
    """Return a group's measurements in the order of a run.

    It depends on the seed, the group and the run only, so that a group has the same order by itself
    as among all others.
    """
    orders = list(group.orders)
    random.Random(f"{seed} {group.section.name} {group.name} {run}").shuffle(orders)
    return orders


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
