"""A year of history, as a store has it that wrote every minute of it."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.support.contract import Q

from toril.engine.contract import Backend, HistoryRow, Level
from toril.engine.tally import Tally, cell_of
from toril.testing.clock import ManualClock


@dataclass(frozen=True)
class _Year:
    minutes_most: int = 9 * 1440
    hours_most: int = (90 + 31) * 24
    days: int = 365


YEAR = _Year()
"""How many rows there may be at its end: a store removes them in blocks, or every ten minutes."""


async def write_a_year(backend: Backend, clock: ManualClock) -> None:
    """Write what a queue with one task, busy in every minute of a year, leaves of each length.

    Older minutes and hours than a store keeps are written, too, and removed by rolling up; but not
    all of those: it would take half a million transitions.
    """
    draw = random.Random(1)
    now_ms = clock.now_ms()
    for level, many, attempts in (
        (Level.MINUTE, 12 * 1440, 40),
        (Level.HOUR, 150 * 24, 300),
        (Level.DAY, YEAR.days, 1000),
        (Level.EVER, 1, 1000),
    ):
        period_ms = level.period_ms
        rows = []
        for number in range(many):
            start_ms = (now_ms // period_ms - number) * period_ms if period_ms else 0
            tally = Tally()
            for _ in range(attempts):
                wait_ms = round(draw.lognormvariate(4, 1))
                run_ms = round(draw.lognormvariate(3, 1))
                tally.count(cell_of(0, wait_ms, run_ms), 1, wait_ms, run_ms)
            rows.append(HistoryRow(start_ms, "send", tally))
        await backend.history.adopt(Q, level, rows)
    for _ in range(3):  # a day after a calendar was seen first, it is believed
        clock.advance(700)
        while await backend.history.roll_up(limit=1000):
            pass
