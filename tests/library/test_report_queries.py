"""Reports by SQL: figures, charts and tables of a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError
from toril.library.reports.queries import Part, SqlReport, parts_of
from toril.services.records.records import Records

DAY = datetime(2026, 11, 23, tzinfo=UTC)
HOUR_MS = 3_600_000
TOML = '''
[[figures]]
name = "revenue"
label = "Revenue"
sql = """SELECT sum(amount_minor) AS value, currency FROM sold
  WHERE at_ms >= :first AND at_ms < :after GROUP BY currency ORDER BY currency"""

[[figures]]
name = "mean"
label = "Mean"
sql = "SELECT avg(amount_minor) AS value FROM sold WHERE at_ms < :after"

[[series]]
name = "sold"
label = "Sold"
sql = """SELECT (at_ms - :first) / :step AS slot, count(*) AS value FROM sold
  WHERE at_ms >= :first AND at_ms < :after GROUP BY slot"""

[[tables]]
name = "all"
label = "All"
columns = ["At", "Amount", "Currency"]
sql = "SELECT at_ms, amount_minor, currency FROM sold ORDER BY at_ms"
'''


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Records]:
    made = Records(f"sqlite:///{tmp_path}/shop.db")
    await made.script("CREATE TABLE sold (at_ms BIGINT, amount_minor BIGINT, currency TEXT);\n")
    first = round(DAY.timestamp() * 1000)
    for hours, amount, currency in ((0, 100, "USD"), (1, 151, "USD"), (25, 50, "EUR")):
        values = {"at": first + hours * HOUR_MS, "amount": amount, "currency": currency}
        await made.rows("INSERT INTO sold VALUES (:at, :amount, :currency)", values)
    yield made
    await made.close()


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    (tmp_path / "reports.toml").write_text(TOML)
    return parts_of(tmp_path / "reports.toml")


async def test_day_has_hours_and_week_has_days(records: Records, parts: list[Part]) -> None:
    report = SqlReport(records, parts)
    day = await report.gather(DAY, DAY + timedelta(days=1))
    days = await report.gather(DAY, DAY + timedelta(days=3))
    longer = await report.gather(DAY, DAY + timedelta(days=1, hours=1))

    assert [(one.name, one.plain(), one.currency) for one in day.figures] == [
        ("revenue_USD", "2.51", "USD"),
        ("mean", 125.5, None),
    ]
    assert day.series[0].points[:3] == [("00", 1), ("01", 1), ("02", 0)]
    assert len(day.series[0].points) == 24
    assert days.series[0].points == [("Mon 23", 2), ("Tue 24", 1), ("Wed 25", 0)]
    assert [one.name for one in days.figures] == ["revenue_EUR", "revenue_USD", "mean"]
    assert len(longer.series[0].points) == 25
    (table,) = day.tables
    assert (table.name, table.columns) == ("all", ["At", "Amount", "Currency"])
    assert [row[1:] for row in table.rows] == [["1.00", "USD"], ["1.51", "USD"], ["0.50", "EUR"]]


async def test_week_in_which_clocks_go_back_has_seven_days(
    records: Records, parts: list[Part]
) -> None:
    report = SqlReport(records, parts)
    found = await report.gather(DAY - timedelta(days=6), DAY + timedelta(days=1, hours=1.5))

    points = found.series[0].points
    assert len(points) == 7
    assert points[-1] == ("Mon 23", 3)  # the hour more is its, too


@pytest.mark.parametrize(
    ("text", "said"),
    [("[[figuers]]\nname = 'a'", "did you mean 'figures'"), ("[[tables]]\nname = 'a'", "tables")],
)
def test_part_that_makes_no_sense_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "reports.toml").write_text(text)
    with pytest.raises(InvalidOptionError, match=said):
        parts_of(tmp_path / "reports.toml")
