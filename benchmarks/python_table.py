"""The table whose rows are queues for Python, and whose columns are what was measured of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from benchmarks.figures import Compared, Figure, Series
from benchmarks.order import Peer, Store
from benchmarks.python_peers import PYTHON_PEERS, on_store
from benchmarks.sections import NAMES, Section

DASH = "–"
CAPTION = (
    "Jobs/s, and ms for pick-ups: medians of the runs. In brackets how many times better Toril's"
    " is, below 1 worse: its async tasks beside coroutines, its tasks in threads beside functions."
)


def version_lines(asked: Collection[Peer], versions: Mapping[Peer, str], store: Store) -> list[str]:
    """Return which queues were asked for on a store and what they stand on, as a Markdown list."""
    return [
        f"* {PYTHON_PEERS[peer].title}: {versions.get(peer, 'not installed')}"
        for peer in on_store(store)
        if peer in asked
    ]


def python_table(
    section: Section, figures: Sequence[Figure], notes: list[str], number: Callable[[float], str]
) -> list[str]:
    """Return the parts of the report on a section: none if no such queue was measured.

    Parameters:
        section: Which.
        figures: Its own; those without a heading are passed over.
        notes: The report's, to which those of the figures are added.
        number: Writes a figure.
    """
    columns: dict[str, list[Figure]] = {}
    for figure in figures:
        if figure.heading is not None:
            columns.setdefault(figure.heading, []).append(figure)
    if not columns:
        return []
    peers = [peer for peer in PYTHON_PEERS if _measured(peer, columns)]
    heads = ["Queue", "Tasks"]
    for heading, found in columns.items():
        for note in (note for figure in found for note in figure.notes):
            if note not in notes:
                notes.append(note)
        marks = sorted({notes.index(note) + 1 for figure in found for note in figure.notes})
        heads.append(" ".join([heading, *(f"({mark})" for mark in marks)]))
    lines = [_row(heads), "|---|---|" + "---:|" * len(columns)]
    us = f"Toril on {NAMES[section.ours]}" if section.ours else "Toril"
    lines += _ours(us, columns, number)
    for peer in peers:
        it = PYTHON_PEERS[peer]
        cells = [_cell(_compared(peer, found), number) for found in columns.values()]
        lines.append(_row([it.title, it.tasks, *cells]))
    beside = "" if section.ours else ", beside queues for Python"
    return [f"**{section.title}{beside}**", CAPTION, "\n".join(lines)]


def _ours(
    us: str, columns: Mapping[str, Sequence[Figure]], number: Callable[[float], str]
) -> list[str]:
    """Return our two rows; where it does not matter what a task is, the second has dashes."""
    async_cells = [_plain(found[0].toril, number) for found in columns.values()]
    thread_cells = [
        _plain(found[1].toril if len(found) > 1 else None, number) for found in columns.values()
    ]
    lines = [_row([us, "coroutines", *async_cells])]
    if any(cell != DASH for cell in thread_cells):
        lines.append(_row([us, "functions", *thread_cells]))
    return lines


def _measured(peer: Peer, columns: Mapping[str, Sequence[Figure]]) -> bool:
    return any(_compared(peer, found) is not None for found in columns.values())


def _compared(peer: Peer, found: Sequence[Figure]) -> Compared | None:
    return next((figure.peers[peer] for figure in found if peer in figure.peers), None)


def _cell(compared: Compared | None, number: Callable[[float], str]) -> str:
    if compared is None:
        return DASH
    text = _plain(compared.series, number)
    return text if compared.advantage is None else f"{text} ({number(compared.advantage)} ×)"


def _plain(series: Series | None, number: Callable[[float], str]) -> str:
    return DASH if series is None else number(series.median)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
