"""What a report holds, as numbers; the same for each of its formats."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

import msgspec

from toril.services.money import to_text

Value = int | float | str | None


class ReportFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One number."""

    name: str
    """For programs: `orders`, `revenue_EUR`."""
    label: str
    """For people."""
    value: int | float | None
    """None: there is none, such as a share of nothing. Of money in its smallest unit."""
    currency: str | None = None
    """Of money."""
    less_is_better: bool = False
    """Whether a fall is good news, as of refunds."""

    def plain(self) -> Value:
        """Return the value as it is written: money as decimal text."""
        return plain(self.value, self.currency)


class ReportSeries(msgspec.Struct, frozen=True, kw_only=True):
    """A number for each hour or day, shown as a chart."""

    name: str
    label: str
    points: list[tuple[str, int]]
    """What stands below each, and how much."""
    currency: str | None = None


class ReportTable(msgspec.Struct, frozen=True, kw_only=True):
    """A list, such as the products that sold best."""

    name: str
    label: str
    columns: list[str]
    rows: list[list[Value]]


class ReportContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says of a stretch of time."""

    figures: list[ReportFigure]
    series: list[ReportSeries] = []
    tables: list[ReportTable] = []


class ReportSource(Protocol):
    """Gathers what reports say: an application's own."""

    async def gather(self, start: datetime, end: datetime) -> ReportContent:
        """Return what is to be said.

        Parameters:
            start: The first moment; aware.
            end: The first moment after it; aware.
        """
        ...


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole report."""

    kind: str
    title: str
    start: str
    """The first day."""
    end: str
    """The last day."""
    timezone: str
    content: ReportContent
    previous: ReportContent | None = None
    """Of the stretch of time before, to compare with."""

    def before(self, name: str) -> ReportFigure | None:
        """Return a figure of the stretch of time before."""
        found = self.previous.figures if self.previous is not None else []
        return next((one for one in found if one.name == name), None)

    def series_before(self, name: str) -> ReportSeries | None:
        """Return a series of the stretch of time before."""
        found = self.previous.series if self.previous is not None else []
        return next((one for one in found if one.name == name), None)


def plain(value: int | float | None, currency: str | None) -> Value:
    """Return a value as it is written in every format."""
    if value is None or currency is None:
        return round(value, 4) if isinstance(value, float) else value
    return to_text(round(value), currency)


def change_percent(now: int | float | None, before: int | float | None) -> float | None:
    """Return by how much a value has changed, in percent. None: there is nothing to compare."""
    if now is None or not before:
        return None
    return round(100 * (now - before) / abs(before), 1)
