"""One flow: a drawing of it, an outline, and what can be done to all below a job."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.bodies import FlowQuery
from toril.web.dashboard.flow_graph import CHILDREN, DRAWN, branches, drawing
from toril.web.dashboard.page import N_, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.flows import get_flow
from toril.web.routes.jobs import get_job

PAGE = Page(
    name="flow",
    path="/flows/{queue}/{job_id}",
    title=N_("Flow"),
    under="flows",
    scripts=("flow.js",),
    styles=("queue.css", "flows.css"),
    said={
        "retry_flow": N_("%(count)s jobs of the flow are back in line."),
        "cancel_flow": N_("%(count)s jobs of the flow are cancelled."),
    },
)
COUNTED = 2000
"""Jobs that are counted, of which some are shown."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the flow below a job, and cut it to what a page can show."""
    place = {"queue": visit.parts["queue"], "job_id": visit.parts["job_id"]}
    job, flow = await asyncio.gather(
        visit.ask(get_job, **place),
        visit.ask(get_flow, **place, query=FlowQuery(limit=COUNTED)),
    )
    first = int(visit.param("from")) if visit.param("from").isdecimal() else 0
    first = min(first, COUNTED)
    outline = branches(flow.nodes, first=first)
    picture = branches(flow.nodes, DRAWN, of_root=CHILDREN, first=first)
    return {
        **place,
        "job": job,
        "progress": flow.progress,
        "outline": outline,
        "first": first,
        "shown": sum(1 for _ in outline.all()),
        "drawing": drawing(picture),
        "drawn": sum(1 for _ in picture.all()),
    }
