"""Puts a report between two marks of a document, and leaves the rest of it alone."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- benchmarks: begin -->"
END = "<!-- benchmarks: end -->"


def check(path: Path) -> None:
    """Look whether a document has both marks, once each, in order.

    Raises:
        ValueError: It has not; the message says what to do.
    """
    _parts(path)


def write(path: Path, report: str) -> None:
    """Replace what is between the marks."""
    before, after = _parts(path)
    path.write_text(f"{before}{BEGIN}\n\n{report.strip()}\n\n{END}{after}", "utf-8")


def _parts(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"--write {path}: {error.strerror}") from None
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"--write {path}: expected {BEGIN} and, below it, {END}, once each")
    return before, after
