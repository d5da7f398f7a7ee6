"""The report in Markdown: the machine, a table for each durability, the notes."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.figures import Figure, Series
from benchmarks.machine import Machine

SECTIONS = {
    "full": "Durability `full`: an acknowledged job survives a loss of power",
    "normal": "Durability `normal`: an acknowledged job survives the end of the process",
    "worker": "A worker by itself",
}
DASH = "–"


def report(machine: Machine, figures: Sequence[Figure], *, how: str) -> str:
    """Return the report.

    Parameters:
        machine: What was measured on.
        figures: In the order in which they are shown.
        how: A sentence on runs and sizes.
    """
    notes: list[str] = []
    parts = ["\n".join([*machine.lines(), f"* How: {how}"])]
    if machine.huey is None:
        parts.append("Huey is not installed, so its column is empty. `make bench` installs it.")
    for section, title in SECTIONS.items():
        lines = [_line(figure, notes) for figure in figures if figure.section == section]
        if lines:
            head = "| Figure | Unit | Toril | Huey | Toril is better by |\n|---|---|---:|---:|---:|"
            parts.append(f"**{title}**\n\n" + "\n".join([head, *lines]))
    if notes:
        parts.append("\n".join(f"{index}. {note}" for index, note in enumerate(notes, start=1)))
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return a figure with three digits or more, and a comma at thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def _line(figure: Figure, notes: list[str]) -> str:
    title = figure.title
    if figure.note is not None:
        if figure.note not in notes:
            notes.append(figure.note)
        title += f" ({notes.index(figure.note) + 1})"
    better = DASH if figure.advantage is None else f"{number(figure.advantage)} ×"
    cells = [title, figure.unit, _cell(figure.toril), _cell(figure.huey), better]
    return f"| {' | '.join(cells)} |"


def _cell(series: Series | None) -> str:
    if series is None:
        return DASH
    if series.runs == 1:
        return number(series.median)
    return f"{number(series.median)} ({number(series.least)} to {number(series.most)})"
