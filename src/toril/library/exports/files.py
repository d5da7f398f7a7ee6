"""Writes rows into a file, part by part: memory stays the same however many there are."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from toril.library.exports.payloads import ExportType
from toril.library.exports.sources import Row

CONTENT_TYPES: dict[ExportType, str] = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMULA = frozenset("=+-@\t\r\n")

Parts = Iterable[Sequence[Row]]


def write_csv(path: Path, columns: Sequence[str], parts: Parts, *, raw: bool = False) -> None:
    """Write rows as comma-separated values in UTF-8, by RFC 4180.

    Parameters:
        path: The file; replaced.
        columns: Names, for the first line.
        parts: The rows.
        raw: Write texts as they are. Default: one that a spreadsheet would take for a formula gets
            an apostrophe in front.
    """
    shown: Callable[[Any], Any] = _plain if raw else _harmless
    with path.open("w", encoding="utf-8", newline="", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow([shown(name) for name in columns])
        if raw:
            for part in parts:
                writer.writerows([shown(value) for value in row] for row in part)
            return
        for part in parts:
            # Most cells are these: without a call for each, an export takes half the time.
            writer.writerows(
                [
                    value
                    if (kind := type(value)) is int
                    or (kind is str and value[:1] not in _FORMULA)
                    or kind is float
                    or value is None
                    else shown(value)
                    for value in row
                ]
                for row in part
            )


def write_json(path: Path, columns: Sequence[str], parts: Parts) -> None:
    """Write rows as a JSON array of objects, a line each.

    Decimal numbers become texts, so that no digit is lost; bytes become Base64.
    """
    encoder = msgspec.json.Encoder(enc_hook=str)
    with path.open("wb") as file:
        file.write(b"[")
        mark = b"\n"
        for part in parts:
            for row in part:
                file.write(mark)
                file.write(encoder.encode(dict(zip(columns, map(_number, row), strict=True))))
                mark = b",\n"
        file.write(b"\n]\n")


def text_of(value: Any) -> str:
    """Return a value that has no form of its own in a table as a text: bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, UUID):
        return str(value)
    return msgspec.json.encode(value, enc_hook=str).decode()


def flat(parts: Parts) -> Iterator[Row]:
    """Yield the rows of all parts."""
    for part in parts:
        yield from part


def counted(parts: Parts, told: Callable[[int], None]) -> Iterator[Sequence[Row]]:
    """Pass parts on, and tell after each how many rows there were so far."""
    rows = 0
    for part in parts:
        yield part
        rows += len(part)
        told(rows)


def _number(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no word for it
        return None
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int | float | Decimal | UUID):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return text_of(value)


def _harmless(value: Any) -> Any:
    text = _plain(value)
    if isinstance(text, str) and text[:1] in _FORMULA:
        return f"'{text}"
    return text
