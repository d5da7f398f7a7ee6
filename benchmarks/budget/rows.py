"""Microseconds of one part, measured often enough to be believed."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

ROUNDS = 7
"""How often each part is measured; the middle one counts."""


class Row(NamedTuple):
    """One part."""

    part: str
    floor_us: float | None
    """Without anything of ours. None: there is nothing like it."""
    ours_us: float | None
    """With Toril. None: it is a floor for others."""


def median_us(measure: Callable[[], float]) -> float:
    """Return the middle one of several measurements, each in seconds, as microseconds."""
    return statistics.median(measure() for _ in range(ROUNDS)) * 1e6


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| Part | Floor, µs | Toril, µs |", "|---|---:|---:|"]
    lines += [f"| {row.part} | {_us(row.floor_us)} | {_us(row.ours_us)} |" for row in rows]
    return "\n".join(lines)


def _us(value: float | None) -> str:
    return "–" if value is None else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
