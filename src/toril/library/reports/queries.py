"""Reports of a database by plain SQL: `SqlReport`, a source for `Reports`.

Each query gets `:first` and `:after`, in milliseconds since 1970, and `:step`, the width of a bar.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.core.extras import missing_extra
from toril.library.reports.content import (
    ReportContent,
    ReportFigure,
    ReportSeries,
    ReportTable,
    plain,
)

try:
    from toril.services.records.records import Records
except ImportError as error:
    raise missing_extra("reports by SQL need SQLAlchemy", "records") from error

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlFigure:
    """Figures: one for each row of `value`, or of `value, currency`."""

    name: str
    label: str
    sql: str
    less_is_better: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlSeries:
    """A chart: rows of `slot, value`; slots are counted from 0 and `:step` wide."""

    name: str
    label: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlTable:
    """A table: the rows, as they are. A column `amount_minor` beside `currency` becomes decimal."""

    name: str
    label: str
    columns: Sequence[str]
    sql: str


Part = SqlFigure | SqlSeries | SqlTable
_KINDS: dict[str, type[Part]] = {"figures": SqlFigure, "series": SqlSeries, "tables": SqlTable}


def parts_of(path: Path) -> list[Part]:
    """Read the parts of a report from a TOML file: arrays `figures`, `series` and `tables`.

    Raises:
        InvalidOptionError: A part makes no sense; the message says which.
    """
    read = tomllib.loads(path.read_text("utf-8"))
    found: list[Part] = []
    for name, rows in read.items():
        kind = _KINDS.get(name)
        if kind is None:
            raise InvalidOptionError(f"{path.name}: {unknown('part', name, _KINDS)}")
        try:
            found += msgspec.convert(rows, list[kind])  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise InvalidOptionError(f"{path.name}, {name}: {error}") from None
    return found


class SqlReport:
    """Gathers reports: a `ReportSource`.

    Parameters:
        records: The database.
        parts: What is asked of it.
        app: Whose queues are told of. None: nobody's.
        queues: Their names.
    """

    def __init__(
        self,
        records: Records,
        parts: Sequence[Part],
        *,
        app: Any = None,
        queues: Sequence[str] = (),
    ) -> None:
        self._records = records
        self._parts = parts
        self._app = app
        self._queues = queues

    async def gather(self, start: datetime, end: datetime) -> ReportContent:
        """Return what a report says: see `ReportSource.gather`."""
        is_short = end - start <= 2 * _DAY
        step_ms = 3_600_000 if is_short else 86_400_000
        first, after = round(start.timestamp() * 1000), round(end.timestamp() * 1000)
        figures: list[ReportFigure] = []
        series: list[ReportSeries] = []
        tables: list[ReportTable] = []
        for part in self._parts:
            rows = await self._rows(part.sql, first, after, step_ms)
            match part:
                case SqlFigure():
                    figures += [_figure(part, row) for row in rows]
                case SqlSeries():
                    # A week in which clocks go back has an hour more: it goes to the last day.
                    counted = [0] * max(1, round((after - first) / step_ms))
                    for row in rows:
                        slot = min(int(row["slot"]), len(counted) - 1)
                        counted[slot] += int(row["value"] or 0)
                    points = [
                        (_label(start, slot, step_ms), many) for slot, many in enumerate(counted)
                    ]
                    series.append(ReportSeries(name=part.name, label=part.label, points=points))
                case SqlTable():
                    tables.append(
                        ReportTable(
                            name=part.name,
                            label=part.label,
                            columns=list(part.columns),
                            rows=[_cells(row) for row in rows],
                        )
                    )
        if self._app is not None:
            tables.append(await self._health(start, end))
        return ReportContent(figures=figures, series=series, tables=tables)

    async def _rows(self, sql: str, first: int, after: int, step: int) -> list[dict[str, Any]]:
        given = {"first": first, "after": after, "step": step}
        values = {name: value for name, value in given.items() if f":{name}" in sql}
        return await self._records.rows(sql, values)

    async def _health(self, start: datetime, end: datetime) -> ReportTable:
        rows: list[list[int | float | str | None]] = []
        for queue in self._queues:
            did = (await self._app.history(queue, since=start, until=end, step=3600)).total
            rows.append([queue, did.completed, did.retried, did.failed])
        columns = ["Queue", "Completed", "Retried", "Failed"]
        return ReportTable(name="queues", label="Queues", columns=columns, rows=rows)


def _figure(part: SqlFigure, row: dict[str, Any]) -> ReportFigure:
    currency, value = row.get("currency"), row["value"]
    if value is not None:
        value = int(value) if value == int(value) else float(value)
    return ReportFigure(
        name=part.name if currency is None else f"{part.name}_{currency}",
        label=part.label,
        value=value,
        currency=currency,
        less_is_better=part.less_is_better,
    )


def _cells(row: dict[str, Any]) -> list[int | float | str | None]:
    """Return a row's cells; amounts of money as decimal text."""
    return [
        plain(int(value), row["currency"])
        if name == "amount_minor" and "currency" in row
        else value
        for name, value in row.items()
    ]


def _label(start: datetime, slot: int, step_ms: int) -> str:
    at = start + timedelta(milliseconds=slot * step_ms)
    return f"{at:%H}" if step_ms < 86_400_000 else f"{at:%a %d}"
