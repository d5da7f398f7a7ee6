"""Puts the report on a store between its two marks of a document, and leaves the rest alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.order import Store


def marks(store: Store) -> tuple[str, str]:
    """Return what stands before and after the report on a store."""
    return f"<!-- benchmarks on {store}: begin -->", f"<!-- benchmarks on {store}: end -->"


def check(path: Path, stores: Sequence[Store]) -> None:
    """Look whether a document has the marks of some stores, once each, in order.

    Raises:
        ValueError: It has not; the message says what to do.
    """
    for store in stores:
        _parts(path, store)


def write(path: Path, store: Store, report: str) -> None:
    """Replace what is between the marks of a store."""
    before, after = _parts(path, store)
    begin, end = marks(store)
    path.write_text(f"{before}{begin}\n\n{report.strip()}\n\n{end}{after}", "utf-8")


def _parts(path: Path, store: Store) -> tuple[str, str]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"--write {path}: {error.strerror}") from None
    begin, end = marks(store)
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end or begin in rest or end in after:
        raise ValueError(f"--write {path}: expected {begin} and, below it, {end}, once each")
    return before, after
