"""Writes rows as an Excel workbook: by rustpy-xlsxwriter, or by XlsxWriter where that is missing.

Texts are written as texts, so that none becomes a formula. More rows than a sheet can hold go on in
another sheet.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

from toril.core.errors import MissingExtraError
from toril.core.extras import how_to_install
from toril.library.exports.files import Parts, flat, text_of
from toril.library.exports.sources import Row
from toril.services.unusable import UnusableInputError, named

SHEET_ROWS = 1_048_575
"""Rows of a sheet, below the line of names."""
MAX_COLUMNS = 16_384
MAX_CHARS = 32_767
"""Of a cell."""
_EXACT = 2**53
"""Up to here each whole number is one of a cell, which holds a float."""
_FIRST_YEAR = 1900


Sheets = Sequence[tuple[str, Iterator[list[Any]]]]
"""Names, each with the cells of its rows. They are read in this order."""


class Writer(Protocol):
    """Writes sheets, each a name and its rows."""

    def __call__(self, path: Path, columns: Sequence[str], sheets: Sheets) -> None:
        """Write all sheets into a file."""
        ...


def write_xlsx(
    path: Path,
    columns: Sequence[str],
    parts: Parts,
    total: int,
    *,
    sheet_rows: int = SHEET_ROWS,
    writer: Writer | None = None,
) -> None:
    """Write rows as a workbook.

    Whole numbers over 9,007,199,254,740,992 and decimal numbers with more digits than a cell holds
    become texts; moments are in UTC.

    Parameters:
        path: The file; replaced.
        columns: Names, for the first line of each sheet.
        parts: The rows.
        total: How many rows there are.
        sheet_rows: How many fit in a sheet.
        writer: Default: the fastest that is installed.

    Raises:
        UnusableInputError: A text is longer than a cell can hold, or there are too many columns.
        MissingExtraError: No writer is installed.
    """
    if len(columns) > MAX_COLUMNS:
        reason = f"a sheet has at most {MAX_COLUMNS:,} columns; export as csv"
        raise UnusableInputError(named("columns", str(len(columns))), reason)
    rows = flat(parts)
    cells = (_cells(row, columns, number) for number, row in enumerate(rows, 1))
    many = max(1, math.ceil(total / sheet_rows))
    sheets = [
        ("Data" if sheet == 0 else f"Data {sheet + 1}", islice(cells, sheet_rows))
        for sheet in range(many)
    ]
    (writer or _fastest())(path, columns, sheets)


def _fastest() -> Writer:
    for module, writer in (("rustpy_xlsxwriter", write_by_rust), ("xlsxwriter", write_by_python)):
        try:
            importlib.import_module(module)
        except ImportError:
            continue
        return writer
    raise MissingExtraError(f"exports as xlsx need XlsxWriter; {how_to_install('exports')}")


def write_by_rust(path: Path, columns: Sequence[str], sheets: Sheets) -> None:
    """Write sheets by rustpy-xlsxwriter."""
    first = next(sheets[0][1], None)
    if first is None:  # it takes the names from the rows
        write_by_python(path, columns, [(sheets[0][0], iter([]))])
        return
    import rustpy_xlsxwriter

    def records(rows: Iterator[list[Any]]) -> Iterator[dict[str, Any]]:
        return (dict(zip(columns, row, strict=True)) for row in rows)

    name, rest = sheets[0]
    entries: list[tuple[str, Any]] = [(name, records(chain([first], rest)))]
    entries += [(name, records(rows)) for name, rows in sheets[1:]]
    rustpy_xlsxwriter.write_worksheets(
        entries,
        str(path),
        freeze_panes={"general": {"row": 1, "col": 0}},
        bold_headers=True,
        dedupe_strings={"general": False},
    )


def write_by_python(path: Path, columns: Sequence[str], sheets: Sheets) -> None:
    """Write sheets by XlsxWriter."""
    import xlsxwriter

    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_numbers": False,
        "strings_to_urls": False,
        "default_date_format": "yyyy-mm-dd hh:mm:ss",
        "tmpdir": str(path.parent),
    }
    with xlsxwriter.Workbook(str(path), options) as book:
        bold = book.add_format({"bold": True})
        for name, rows in sheets:
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            sheet.write_row(0, 0, columns, bold)
            for number, row in enumerate(rows, 1):
                sheet.write_row(number, 0, row)


def _cells(row: Row, columns: Sequence[str], number: int) -> list[Any]:
    cells = [_cell(value) for value in row]
    for column, cell in zip(columns, cells, strict=True):
        if isinstance(cell, str) and len(cell) > MAX_CHARS:
            reason = (
                f"row {number:,} has a text of {len(cell):,} characters; a cell holds"
                f" {MAX_CHARS:,}: export as csv or json, or without this column"
            )
            raise UnusableInputError(named("columns", column), reason)
    return cells


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return moment if moment.year > _FIRST_YEAR else value.isoformat()
    if isinstance(value, date):
        return value if value.year > _FIRST_YEAR else value.isoformat()
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return text_of(value)


def _number(value: Decimal) -> float | str:
    nearest = float(value)
    return nearest if value.is_finite() and Decimal(repr(nearest)) == value else str(value)
