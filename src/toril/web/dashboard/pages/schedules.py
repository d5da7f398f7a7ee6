"""Schedules of all queues: in words, what comes next, how the last runs went."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from toril.engine.schedules.info import ScheduleInfo
from toril.rest.bodies import ScheduleQuery
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.schedule_runs import Runs, next_runs, past_runs
from toril.web.dashboard.schedule_words import when_words
from toril.web.dashboard.visit import Visit
from toril.web.routes.schedules import list_schedules

PAGE = Page(
    name="schedules",
    path="/schedules",
    title=N_("Schedules"),
    nav=Nav(label=N_("Schedules"), order=70, key="s"),
    styles=("queue.css", "schedules.css"),
)
ROWS = 25
STRIP = 12
"""Past runs in the list."""
AT_ONCE = 8


class Line(msgspec.Struct, frozen=True):
    """A schedule in the list."""

    info: ScheduleInfo
    words: str | None
    next: list[Any]
    runs: Runs


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """List the schedules: by queue, the next one first."""
    queue = visit.param("queue").strip() or None
    query = ScheduleQuery(queue=queue, limit=ROWS, after=visit.param("after") or None)
    page = await visit.ask(list_schedules, query=query)
    gate = asyncio.Semaphore(AT_ONCE)

    async def line(info: ScheduleInfo) -> Line:
        async with gate:
            runs = await past_runs(visit, info, STRIP)
        return Line(info, when_words(info, visit), next_runs(info, visit.now), runs)

    return {
        "queue": queue or "",
        "lines": list(await asyncio.gather(*map(line, page.items))),
        "next": page.next,
    }
