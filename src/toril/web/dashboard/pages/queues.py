"""Queues: one row each, with a word for how it does; groups of those whose names begin alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from toril.engine.info import QueueInfo, WorkerInfo
from toril.rest.bodies import QueueQuery
from toril.web.dashboard.health import ORDER, health
from toril.web.dashboard.histories import has_ended
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.trends import Trend, trends
from toril.web.dashboard.visit import Visit
from toril.web.letter_queues import unworked_queues
from toril.web.routes.queues import list_queues

PAGE = Page(
    name="queues",
    path="/queues",
    title=N_("Queues"),
    nav=Nav(label=N_("Queues"), order=20, key="q"),
    styles=("queues.css",),
    said={"search_queues": N_("All queues that the store knows are listed.")},
)

DELIMITERS = (".", ":", "-", "_", "/")
PAGE_ROWS = 50
"""Rows at once; each has a line of its last hour."""


@dataclass(kw_only=True)
class Line:
    """A row of the table: a queue, or a group of some."""

    name: str
    shown: str
    info: QueueInfo | None = None
    """None: it is a group."""
    health: str = "idle"
    workers: int = 0
    trend: Trend | None = None
    members: list[Line] = field(default_factory=list)
    is_open: bool = False
    """A group whose members have rows of their own."""
    figures: dict[str, float | None] = field(default_factory=dict)


def _most(figure: str) -> Callable[[Line], Any]:
    return lambda line: -(line.figures[figure] or 0)


_FIGURES = (
    "waiting", "prioritized", "active", "delayed", "children", "failed", "completed", "oldest_s",
    "workers",
)  # fmt: skip
_SORTS: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.name.lower(),
    "health": lambda line: ORDER.index(line.health),
    **{f"-{figure}": _most(figure) for figure in _FIGURES},
}


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the queues, and of those on this page what their last hour was."""
    page, workers, served = await asyncio.gather(
        visit.ask(list_queues, query=QueueQuery()), visit.workers(), visit.served()
    )
    found = page.items
    wanted, only = visit.param("q").strip(), visit.choice("health", ORDER, "")
    sort = visit.choice("sort", _SORTS, "health")
    letters = await unworked_queues(visit, found, served)
    lines = [line_of(info, workers, served, letters) for info in found]
    counted = {word: sum(line.health == word for line in lines) for word in ORDER}
    if wanted:
        lines = [line for line in lines if wanted.lower() in line.name.lower()]
    if only:
        lines = [line for line in lines if line.health == only]
    delimiter = visit.choice("group", DELIMITERS, "")
    if delimiter:
        lines = grouped(lines, delimiter)
    lines.sort(key=lambda line: (_SORTS[sort](line), line.name.lower()))
    start = max(0, int(visit.param("from", "0"))) if visit.param("from").isdecimal() else 0
    total, lines = len(lines), lines[start : start + PAGE_ROWS]
    opened = visit.query.get("open", [])
    for line in lines:
        line.is_open = line.name in opened
        line.members.sort(key=lambda member: (_SORTS[sort](member), member.name.lower()))
    flat = [one for line in lines for one in (line, *(line.members if line.is_open else ()))]
    names = [one.name for one in flat if one.info is not None and has_ended(one.info)]
    read = await trends(visit, names)
    for line in flat:
        line.trend = read.get(line.name)
    return {
        "lines": lines,
        "opened": opened,
        "total": total,
        "all": len(found),
        "start": start,
        "next": start + PAGE_ROWS if start + PAGE_ROWS < total else None,
        "wanted": wanted,
        "only": only,
        "sort": sort,
        "delimiter": delimiter,
        "delimiters": DELIMITERS,
        "counted": counted,
        "order": ORDER,
    }


def line_of(
    info: QueueInfo,
    workers: Sequence[WorkerInfo],
    served: Collection[str] | None,
    letters: Collection[str],
) -> Line:
    """Return the row of a queue."""
    many = sum(info.name in worker.queues for worker in workers)
    return Line(
        name=info.name,
        shown=info.name,
        info=info,
        health=health(info, served, letters),
        workers=many,
        figures={
            "waiting": info.waiting,
            "prioritized": info.prioritized,
            "active": info.active,
            "delayed": info.delayed,
            "children": info.waiting_children,
            "failed": info.failed,
            "completed": info.completed,
            "oldest_s": info.oldest_waiting_s,
            "workers": many,
        },
    )


def grouped(lines: Iterable[Line], delimiter: str) -> list[Line]:
    """Return rows with those in one whose names begin alike; one that stands alone stays alone."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        head, found, _ = line.name.partition(delimiter)
        groups.setdefault(head + delimiter if found and head else line.name, []).append(line)
    made: list[Line] = []
    for name, members in groups.items():
        if len(members) == 1:
            made += members
            continue
        figures: dict[str, float | None] = {
            key: sum(member.figures[key] or 0 for member in members) for key in members[0].figures
        }
        figures["oldest_s"] = max((m.figures["oldest_s"] or 0 for m in members), default=0) or None
        # A worker of several queues of a group is one.
        figures["workers"] = max(member.workers for member in members)
        worst = min(members, key=lambda member: ORDER.index(member.health))
        for member in members:
            member.shown = member.name.removeprefix(name)
        made.append(
            Line(name=name, shown=name, members=members, health=worst.health, figures=figures)
        )
    return made
