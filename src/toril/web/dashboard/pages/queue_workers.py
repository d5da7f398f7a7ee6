"""The workers that serve a queue."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.bodies import PartQuery
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit
from toril.web.routes.workers import list_workers

PAGE = Page(
    name="queue_workers",
    path="/queues/{queue}/workers",
    title=N_("Workers"),
    under="queues",
    tab=Tab(of="queue", label=N_("Workers"), order=40),
    styles=("queue.css",),
)
MOST = 200


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the workers that serve the queue."""
    queue = visit.parts["queue"]
    head, page = await asyncio.gather(
        queue_head(visit), visit.ask(list_workers, query=PartQuery(limit=1000))
    )
    found = [worker for worker in page.items if queue in worker.queues]
    return {**head, "found": found[:MOST], "many": len(found)}
