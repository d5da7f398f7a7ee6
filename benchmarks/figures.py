"""From answers to figures: the median of the runs, with the least and the most."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.latencies import kept_up
from benchmarks.order import Peer
from benchmarks.peers import TITLES
from benchmarks.rows import Better, Row, Source
from benchmarks.runs import Found
from benchmarks.sections import PEERS


class Series(msgspec.Struct, frozen=True):
    """One figure over some runs."""

    median: float
    least: float
    most: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Series:
        """Return the series of some values, at least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))


class Compared(msgspec.Struct, frozen=True):
    """A peer's figure in a line."""

    series: Series
    advantage: float | None
    """How many times better Toril's median is; below 1: worse. None: not to be compared."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the table, filled in."""

    section: str
    group: str
    title: str
    unit: str
    better: Better
    toril: Series | None
    peers: dict[Peer, Compared]
    """Those that have a figure."""
    notes: list[str]
    heading: str | None = None
    """Of its column in the table whose rows are queues. None: it is a line of the main table."""

    def series(self, who: Peer) -> Series | None:
        """Return anybody's figure."""
        if who == "toril":
            return self.toril
        return self.peers[who].series if who in self.peers else None


def figures_of(all_found: Sequence[Found]) -> list[Figure]:
    """Return all figures, and in each section a line for the best of everybody at processing."""
    figures: list[Figure] = []
    for found in all_found:
        group = found.group
        figures += [_figure(row, found) for row in group.rows]
        if group.name == "process-1000":
            processing = [
                one
                for one in figures
                if one.section == group.section.name
                and one.group.startswith("process-")
                and one.heading is None
            ]
            best = _best(processing, PEERS[group.section.store])
            figures += [] if best is None else [best]
    return figures


def _figure(row: Row, found: Found) -> Figure:
    ours = _series(row.ours, found)
    rival = None if row.ours is not None and _overloaded(row.ours, found) else ours
    peers: dict[Peer, Compared] = {}
    for peer, source in row.theirs.items():
        series = _series(source, found)
        if series is not None:
            against = None if _overloaded(source, found) else rival
            peers[peer] = Compared(series, _advantage(against, series, row.better))
    return Figure(
        section=found.group.section.name,
        group=found.group.name,
        title=row.title,
        unit=row.unit,
        better=row.better,
        toril=ours,
        peers=peers,
        notes=_notes(row, found),
        heading=row.heading,
    )


def _notes(row: Row, found: Found) -> list[str]:
    notes = [] if row.note is None else [row.note]
    failed = [one.order.label for one in row.sources if one.order in found.failures]
    if failed:
        notes.append(f"failed: {', '.join(failed)}")
    late = [one.order.label for one in row.sources if _overloaded(one, found)]
    if late:
        notes.append(f"could not keep up with the rate, so no ratio: {', '.join(late)}")
    return notes


def _overloaded(source: Source, found: Found) -> bool:
    return not all(map(kept_up, found.answers.get(source.order, [])))


def _series(source: Source | None, found: Found) -> Series | None:
    if source is None or source.order in found.failures:
        return None
    answers = found.answers.get(source.order, [])
    return Series.of([values[source.value] for values in answers]) if answers else None


def _advantage(ours: Series | None, theirs: Series, better: Better) -> float | None:
    if ours is None:
        return None
    above, below = (ours, theirs) if better == "more" else (theirs, ours)
    return above.median / below.median if below.median else None


def _best(processing: Sequence[Figure], peers: Sequence[Peer]) -> Figure | None:
    """Return the fastest of each, so that nobody is judged at a concurrency that does not suit."""
    fastest: dict[Peer, tuple[Series, str]] = {}
    for who in ("toril", *peers):
        lines = [(found, one.title) for one in processing if (found := one.series(who))]
        if lines:
            fastest[who] = max(lines, key=lambda line: line[0].median)
    if "toril" not in fastest or len(fastest) == 1:
        return None
    ours, _ = fastest["toril"]
    return Figure(
        section=processing[0].section,
        group="process-best",
        title="process, each at its best",
        unit="jobs/s",
        better="more",
        toril=ours,
        peers={
            who: Compared(series, _advantage(ours, series, "more"))
            for who, (series, _) in fastest.items()
            if who != "toril"
        },
        notes=[", ".join(f"{TITLES[who]} at “{title}”" for who, (_, title) in fastest.items())],
    )
