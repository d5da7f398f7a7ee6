"""Exports of 1,000,000 rows beside a plain script with the same libraries: time and memory.

Run by `make bench-exports`. Each export runs in a process of its own, to tell its memory.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import multiprocessing
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from toril.library.exports import ExportSettings, Sources, TableSource
from toril.library.exports.exporting import export
from toril.library.exports.payloads import ExportType
from toril.services.objects.folder import FolderObjects
from toril.services.objects.sync import SyncObjects
from toril.services.records.records import Records

COLUMNS = ("id", "customer", "email", "country", "total", "made_at", "note")
KINDS: tuple[ExportType, ...] = ("csv", "json", "xlsx")


def fill(path: Path, rows: int) -> None:
    """Make a database with a table of orders."""
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, email TEXT, country TEXT,"
            " total REAL, made_at TEXT, note TEXT)"
        )
        database.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    number,
                    f"Customer {number}",
                    f"customer-{number}@example.com",
                    ("DE", "AT", "CH")[number % 3],
                    number / 7,
                    f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T12:00:00",
                    "a note of some length, as people write them",
                )
                for number in range(rows)
            ),
        )
    database.close()


def by_toril(folder: Path, kind: ExportType) -> None:
    """Export the table as the task does."""
    records = Records(f"sqlite:///{folder / 'shop.db'}")
    export(
        kind,
        {},
        None,
        settings=ExportSettings(work_dir=folder / "work"),
        sources=Sources({"default": TableSource(records, "orders", COLUMNS)}),
        objects=SyncObjects(FolderObjects(folder / "files")),
        job_key=kind,
        report=lambda percent: None,
        check=lambda: None,
    )


def by_script(folder: Path, kind: ExportType) -> None:
    """Export the table as one would without a library of exports."""
    database = sqlite3.connect(folder / "shop.db")
    rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM orders ORDER BY id")
    path = folder / f"plain.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    elif kind == "json":
        with path.open("w") as file:
            file.write("[")
            for number, row in enumerate(rows):
                file.write(
                    (",\n" if number else "\n") + json.dumps(dict(zip(COLUMNS, row, strict=True)))
                )
            file.write("\n]\n")
    else:
        _workbook(path, rows)
    database.close()


def _workbook(path: Path, rows: Iterator[tuple[Any, ...]]) -> None:
    from rustpy_xlsxwriter import write_worksheets

    records = (dict(zip(COLUMNS, row, strict=True)) for row in rows)
    write_worksheets([("Data", itertools.islice(records, 1_048_575))], str(path))


def measured(
    work: Callable[[Path, ExportType], None], folder: Path, kind: ExportType
) -> tuple[float, float]:
    """Return how long it took, in seconds, and how much memory it needed, in MiB."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(theirs, work, folder, kind))
    process.start()
    took_s, peak_mib = ours.recv()
    process.join()
    return took_s, peak_mib


def _measure(
    pipe: Any, work: Callable[[Path, ExportType], None], folder: Path, kind: ExportType
) -> None:
    began_s = time.perf_counter()
    work(folder, kind)
    took_s = time.perf_counter() - began_s
    unit = 2**20 if sys.platform == "darwin" else 2**10
    pipe.send((took_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    print(f"{rows:,} rows of {len(COLUMNS)} columns, SQLite to a folder")
    print(f"{'format':8}{'by':10}{'seconds':>9}{'rows/s':>11}{'MiB':>7}{'ratio':>7}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        fill(folder / "shop.db", rows)
        for kind in KINDS:
            plain_s, plain_mib = measured(by_script, folder, kind)
            ours_s, ours_mib = measured(by_toril, folder, kind)
            for name, took_s, peak in (("script", plain_s, plain_mib), ("toril", ours_s, ours_mib)):
                ratio = plain_s / took_s
                print(
                    f"{kind:8}{name:10}{took_s:9.1f}{rows / took_s:11,.0f}{peak:7.0f}{ratio:7.2f}"
                )


if __name__ == "__main__":
    main()
