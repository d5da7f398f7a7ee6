"""Copies a queue's history to another store, as a part of its migration."""

from __future__ import annotations

from toril.engine.contract import Backend
from toril.engine.contract.history import HistoryRow, Level

_FAR_MS = 2**50
CHUNK = 500
"""Rows that the target takes in one transition."""


async def move_history(source: Backend, target: Backend, queue: str) -> None:
    """Copy all periods of a queue. Those that the target has already stay as they are.

    So a second run after one that was cut short adds nothing twice. Minutes that the source has
    not rolled up yet become rows of their hour and day here.
    """
    for level in Level:
        found = await source.history.read(queue, level, since_ms=0, until_ms=_FAR_MS)
        rows = list(_merged(level, found).values())
        for first in range(0, len(rows), CHUNK):
            await target.history.adopt(queue, level, rows[first : first + CHUNK])


def _merged(level: Level, rows: list[HistoryRow]) -> dict[tuple[int, str], HistoryRow]:
    merged: dict[tuple[int, str], HistoryRow] = {}
    for row in rows:
        start_ms = row.start_ms - row.start_ms % level.period_ms if level.period_ms else 0
        known = merged.setdefault((start_ms, row.task), HistoryRow(start_ms, row.task, row.tally))
        if known.tally is not row.tally:
            known.tally.merge(row.tally)
    return merged
