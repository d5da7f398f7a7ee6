"""Writes a report as JSON, as CSV and as PDF. Each has the same numbers."""

from __future__ import annotations

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import msgspec

from toril.library.reports.content import Report, Value, change_percent, plain

CONTENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}
PDF_ROWS = 40
"""Of a table in a PDF; the other formats have all."""
_FOLDER = Path(__file__).parent
"""Of `report.typ`."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = ("section", "name", "label", "value", "currency", "previous", "changePercent")


def json_of(report: Report) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.format(msgspec.json.encode(_shown(report)), indent=2) + b"\n"


def csv_of(report: Report) -> bytes:
    """Return a report as CSV in UTF-8: a line for each number."""
    shown = _shown(report)
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for one in shown["figures"]:
        cells = [one[name] for name in _COLUMNS[1:]]
        writer.writerow(["figures", *map(_harmless, cells)])
    for series in shown["series"]:
        for point in series["points"]:
            cells = [
                series["name"], point["label"], point["value"], series["currency"],
                point["previous"], None,
            ]  # fmt: skip
            writer.writerow(["series", *map(_harmless, cells)])
    for table in shown["tables"]:
        for row in table["rows"]:
            head = [table["name"], row[0]]
            for column, cell in zip(table["columns"][1:], row[1:], strict=True):
                cells = [head[0], f"{head[1]}: {column}", cell, None, None, None]
                writer.writerow(["table", *map(_harmless, cells)])
    return out.getvalue().encode("utf-8", "replace")


async def pdf_of(report: Report, *, brand: str, charts: bool) -> bytes:
    """Return a report as PDF.

    Parameters:
        report: What it says.
        brand: The name at the head of each page.
        charts: Whether series are drawn.
    """
    from toril.services.documents.typst import TypstDocuments  # only its users pay

    shown = _shown(report)
    shown["brand"] = brand
    shown["charts"] = charts
    for table in shown["tables"]:
        table["more"] = max(0, len(table["rows"]) - PDF_ROWS)
        table["rows"] = [list(map(_spaced, row)) for row in table["rows"][:PDF_ROWS]]
    for one in shown["figures"]:
        one["value"], one["previous"] = _spaced(one["value"]), _spaced(one["previous"])
    for series, given in zip(shown["series"], report.content.series, strict=True):
        before = report.series_before(given.name)
        past = [number for _, number in before.points] if before is not None else []
        for place, (point, (_, number)) in enumerate(
            zip(series["points"], given.points, strict=True)
        ):
            point["size"] = number
            point["sizeBefore"] = past[place] if place < len(past) else 0
            point["value"] = _spaced(point["value"])
    return await asyncio.to_thread(TypstDocuments(_FOLDER).pdf, "report", shown)


def _shown(report: Report) -> dict[str, Any]:
    """Return a report as JSON values, as all formats show it."""
    figures = []
    for one in report.content.figures:
        before = report.before(one.name)
        change = None if before is None else change_percent(one.value, before.value)
        figures.append(
            {
                "name": one.name,
                "label": one.label,
                "value": one.plain(),
                "currency": one.currency,
                "previous": None if before is None else before.plain(),
                "changePercent": change,
                "isGood": None if not change else (change < 0) == one.less_is_better,
            }
        )
    series = []
    for line in report.content.series:
        past = report.series_before(line.name)
        points = []
        for place, (label, number) in enumerate(line.points):
            has_past = past is not None and place < len(past.points)
            old = past.points[place][1] if past is not None and has_past else None
            points.append(
                {
                    "label": label,
                    "value": plain(number, line.currency),
                    "previous": plain(old, line.currency),
                }
            )
        series.append(
            {"name": line.name, "label": line.label, "currency": line.currency, "points": points}
        )
    return {
        "kind": report.kind,
        "title": report.title,
        "start": report.start,
        "end": report.end,
        "timezone": report.timezone,
        "isCompared": report.previous is not None,
        "figures": figures,
        "series": series,
        "tables": [msgspec.to_builtins(table) for table in report.content.tables],
    }


def _harmless(cell: Value) -> Value:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(cell, str) and cell.startswith(_FORMULA) and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _spaced(value: Value) -> str | None:
    """Return a number as people read it, with the same digits: `4,210.00`."""
    if value is None or (isinstance(value, str) and not _is_number(value)):
        return value
    whole, point, rest = str(value).partition(".")
    sign = "-" if whole.startswith("-") else ""
    digits = whole.removeprefix("-")
    return f"{sign}{int(digits):,}{point}{rest}" if digits.isdigit() else str(value)
