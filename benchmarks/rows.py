"""Lines of the table before they are measured, and the groups in which they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.order import Order, Peer
from benchmarks.sections import Section

Better = Literal["more", "less"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from: a value of an order's answer."""

    order: Order
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    title: str
    unit: str
    better: Better
    ours: Source | None = None
    theirs: Mapping[Peer, Source] = field(default_factory=dict)
    """By peer; who is not in it has a dash."""
    note: str | None = None
    """Why one of them is missing, or what to know of the figure."""
    heading: str | None = None
    """Of its column in the table whose rows are queues. None: it is a line of the main table."""

    @property
    def sources(self) -> list[Source]:
        """All of them, ours first."""
        return [*([self.ours] if self.ours else []), *self.theirs.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Measurements that belong together: run after run, each has its turn."""

    name: str
    section: Section
    rows: Sequence[Row]
    once: bool = False
    """One run, however many were asked for: it is long, and steady."""

    orders: Sequence[Order] = field(init=False)

    def __post_init__(self) -> None:
        sources = [source for row in self.rows for source in row.sources]
        object.__setattr__(self, "orders", list(dict.fromkeys(s.order for s in sources)))


def row(
    title: str,
    unit: str,
    value: str,
    ours: Order | None,
    theirs: Sequence[Order] = (),
    *,
    better: Better = "less",
    note: str | None = None,
) -> Row:
    """Return a line of which everybody's figure has the same name in the answer."""
    return Row(
        title=title,
        unit=unit,
        better=better,
        ours=None if ours is None else Source(ours, value),
        theirs={order.peer: Source(order, value) for order in theirs},
        note=note,
    )


def rate(
    title: str,
    ours: Order | None,
    theirs: Sequence[Order] = (),
    *,
    value: str = "per_s",
    note: str | None = None,
) -> Row:
    """Return a line of jobs per second."""
    return row(title, "jobs/s", value, ours, theirs, better="more", note=note)
