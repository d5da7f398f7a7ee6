"""The report in Markdown: the machine, a table for each section, the notes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from benchmarks.figures import Figure, Series
from benchmarks.machine import Machine
from benchmarks.order import Peer, Store
from benchmarks.peers import TITLES
from benchmarks.python_table import python_table, version_lines
from benchmarks.sections import PEERS, SECTIONS

DASH = "–"


def report(
    machine: Machine,
    figures: Sequence[Figure],
    store: Store,
    *,
    how: str,
    asked: Collection[Peer],
    versions: Mapping[Peer, str],
) -> str:
    """Return the report on one store.

    Parameters:
        machine: What was measured on.
        figures: In the order in which they are shown; those of other stores are passed over.
        store: Which.
        how: A sentence on runs and sizes.
        asked: Beside whom Toril was to be measured.
        versions: Of the queues for Python, in words; those that are not in it are not installed.
    """
    notes: list[str] = []
    of_python = version_lines(asked, versions, store)
    parts = ["\n".join([*machine.lines(store), *of_python, f"* How: {how}"])]
    columns = [peer for peer in PEERS[store] if peer in asked]
    for peer in columns:
        if peer not in machine.peers:
            parts.append(f"{TITLES[peer]} is not installed, so its column is empty.")
    for section in SECTIONS:
        of_section = [figure for figure in figures if figure.section == section.name]
        found = [figure for figure in of_section if figure.heading is None]
        if section.store == store and found:
            lines = [_head(columns), *(_line(figure, columns, notes) for figure in found)]
            parts.append(f"**{section.title}**\n\n" + "\n".join(lines))
        if section.store == store:
            parts += python_table(section, of_section, notes, number)
    if notes:
        parts.append("\n".join(f"{index}. {note}" for index, note in enumerate(notes, start=1)))
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return a figure with three digits or more, and a comma at thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    digits = 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def _head(columns: Sequence[Peer]) -> str:
    names = ["Figure", "Unit", "Toril"]
    for peer in columns:
        names += [TITLES[peer], "Toril is better by"]
    return f"| {' | '.join(names)} |\n|---|---|{'---:|' * (len(names) - 2)}"


def _line(figure: Figure, columns: Sequence[Peer], notes: list[str]) -> str:
    title = figure.title
    for note in figure.notes:
        if note not in notes:
            notes.append(note)
        title += f" ({notes.index(note) + 1})"
    cells = [title, figure.unit, _cell(figure.toril)]
    for peer in columns:
        compared = figure.peers.get(peer)
        advantage = None if compared is None else compared.advantage
        cells.append(_cell(figure.series(peer)))
        cells.append(DASH if advantage is None else f"{number(advantage)} ×")
    return f"| {' | '.join(cells)} |"


def _cell(series: Series | None) -> str:
    if series is None:
        return DASH
    if series.runs == 1:
        return number(series.median)
    return f"{number(series.median)} ({number(series.least)} to {number(series.most)})"
