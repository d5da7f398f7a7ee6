"""One worker: its facts, what it runs now and can run, and what it can be told."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.bodies import PartQuery
from toril.web.dashboard.fleet import members, newest_version
from toril.web.dashboard.page import N_, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.workers import get_worker, list_workers

PAGE = Page(
    name="worker",
    path="/workers/{worker_id}",
    title=N_("Worker"),
    under="workers",
    styles=("queues.css", "workers.css"),
)
MOST_TASKS = 200


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the worker, and its fellows for their version."""
    worker_id = visit.parts["worker_id"]
    facts, fellows = await asyncio.gather(
        visit.ask(get_worker, worker_id=worker_id),
        visit.ask(list_workers, query=PartQuery(limit=1000)),
    )
    (one,) = await members(visit, [facts])
    newest = newest_version([facts, *fellows.items])
    return {"one": one, "newest": newest, "drifts": facts.version != newest, "most": MOST_TASKS}
