"""The failures of a queue, grouped by what failed."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from toril.web.access.port import Permission
from toril.web.dashboard.failures import SAID, change, failures
from toril.web.dashboard.page import N_, Form, Page, Tab
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="queue_errors",
    path="/queues/{queue}/errors",
    title=N_("Errors"),
    permission=Permission.PAYLOADS,
    under="queues",
    tab=Tab(of="queue", label=N_("Errors"), order=20),
    styles=("queue.css", "errors.css"),
    said=SAID,
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Group the newest failures of the queue."""
    return await _facts(visit)


@PAGE.act("bulk")
async def bulk(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Begin an operation on all jobs of a group."""
    answer = await change(visit, form, _place(visit))
    return answer if isinstance(answer, Response) else await _facts(visit, answer, form)


async def _facts(visit: Visit, error: str = "", form: Form | None = None) -> dict[str, Any]:
    head, found = await asyncio.gather(
        queue_head(visit), failures(visit, visit.parts["queue"], error, form)
    )
    return {**head, **found, "place": _place(visit)}


def _place(visit: Visit) -> str:
    return visit.at("queues", visit.parts["queue"], "errors")
