"""A queue's settings: limits, what it writes, and what removes jobs from it."""

from __future__ import annotations

from typing import Any

from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="queue_settings",
    path="/queues/{queue}/settings",
    title=N_("Settings"),
    under="queues",
    tab=Tab(of="queue", label=N_("Settings"), order=60),
    styles=("queue.css", "settings.css"),
    said={
        "drain_queue": N_("%(count)s waiting jobs are removed."),
        "clean_queue": N_("%(count)s jobs are removed."),
        "retry_jobs": N_("%(count)s jobs are back in line."),
        "promote_jobs": N_("%(count)s delayed jobs are ready now."),
    },
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the queue."""
    return await queue_head(visit)
