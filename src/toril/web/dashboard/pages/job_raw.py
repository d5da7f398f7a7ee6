"""One job as the REST interface shows it, word by word."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.web.dashboard.job_head import job_head
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.values import indented
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="job_raw",
    path="/queues/{queue}/jobs/{job_id}/raw",
    title=N_("Raw record of a job"),
    under="jobs",
    tab=Tab(of="job", label=N_("Raw"), order=50),
    styles=("queue.css", "job.css"),
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show the record, without payload and result, which have addresses of their own."""
    head = await job_head(visit)
    return {**head, "record": indented(msgspec.to_builtins(head["job"]))}
