"""What happened to one job, event by event."""

from __future__ import annotations

from typing import Any

from toril.rest.bodies import PartQuery
from toril.web.dashboard.job_head import job_head
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.visit import Visit
from toril.web.routes.jobs import list_job_events

PAGE = Page(
    name="job_events",
    path="/queues/{queue}/jobs/{job_id}/events",
    title=N_("Events of a job"),
    under="jobs",
    tab=Tab(of="job", label=N_("Events"), order=40),
    styles=("queue.css", "job.css"),
)
MOST_EVENTS = 200


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show those of the newest 1,000 events of the queue that are about the job, newest first."""
    head = await job_head(visit)
    place = {"queue": visit.parts["queue"], "job_id": visit.parts["job_id"]}
    found = await visit.ask(list_job_events, **place, query=PartQuery(limit=MOST_EVENTS))
    return {**head, "events": list(reversed(found.items))}
