"""The budget of one job: each part can be measured, and is shown. No look at how much."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.budget import loops, on_redis, on_sqlite, pickups, rows
from benchmarks.budget.rows import Row, table


def test_every_part_takes_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROUNDS", 1)
    monkeypatch.setattr(pickups, "JOBS", 60)

    found = [
        *loops.rows(),
        *on_redis.rows(tmp_path),
        *on_sqlite.rows(tmp_path),
        *pickups.rows(tmp_path),
    ]

    figures = [figure for row in found for figure in row[1:] if figure is not None]
    assert len(figures) >= len(found)
    assert all(0 < figure < 1_000_000 for figure in figures)


def test_table_has_a_dash_where_there_is_nothing_to_compare() -> None:
    assert table([Row("add", 1.25, 2500.0), Row("claim", None, 99.96)]).splitlines() == [
        "| Part | Floor, µs | Toril, µs |",
        "|---|---:|---:|",
        "| add | 1.2 | 2,500 |",
        "| claim | – | 100.0 |",
    ]
