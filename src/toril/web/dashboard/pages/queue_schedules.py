"""The schedules that make jobs of a queue."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.bodies import ScheduleQuery
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit
from toril.web.routes.schedules import list_schedules

PAGE = Page(
    name="queue_schedules",
    path="/queues/{queue}/schedules",
    title=N_("Schedules"),
    under="queues",
    tab=Tab(of="queue", label=N_("Schedules"), order=50),
    styles=("queue.css",),
    said={
        "run_schedule": N_("A job of %(schedule_id)s is added. Its own jobs come when they would."),
        "pause_schedule": N_("%(schedule_id)s makes no jobs until it is resumed."),
        "resume_schedule": N_("%(schedule_id)s goes on."),
    },
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the schedules of the queue."""
    queue = visit.parts["queue"]
    query = ScheduleQuery(queue=queue, limit=100, after=visit.param("after") or None)
    head, page = await asyncio.gather(queue_head(visit), visit.ask(list_schedules, query=query))
    return {**head, "schedules": page.items, "next": page.next}
