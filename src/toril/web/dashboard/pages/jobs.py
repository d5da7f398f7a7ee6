"""Jobs of all queues, by a search."""

from __future__ import annotations

from typing import Any

from toril.web.dashboard.finding import find_jobs
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="jobs",
    path="/jobs",
    title=N_("Jobs"),
    nav=Nav(label=N_("Jobs"), order=30, key="j"),
    styles=("queue.css",),
    scripts=("complete.js",),
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Look for jobs. Without a search: those that failed last, as they are looked for most."""
    return await find_jobs(visit)
