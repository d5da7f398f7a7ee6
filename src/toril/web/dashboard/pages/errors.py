"""Errors: failed jobs of all queues, grouped by what failed."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from toril.web.access.port import Permission
from toril.web.dashboard.failures import SAID, change, failures, recent_operations
from toril.web.dashboard.page import N_, Form, Nav, Page
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="errors",
    path="/errors",
    title=N_("Errors"),
    permission=Permission.PAYLOADS,
    nav=Nav(label=N_("Errors"), order=40, key="e"),
    styles=("queue.css", "errors.css"),
    said=SAID,
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Group the newest failures; with `?group=…&bulk=retry`: what retrying a group would do."""
    return await _facts(visit)


@PAGE.act("bulk")
async def bulk(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Begin an operation on all jobs of a group."""
    answer = await change(visit, form, visit.url("/errors"))
    return answer if isinstance(answer, Response) else await _facts(visit, answer, form)


async def _facts(visit: Visit, error: str = "", form: Form | None = None) -> dict[str, Any]:
    found, lately = await asyncio.gather(
        failures(visit, error=error, form=form), recent_operations(visit)
    )
    return {**found, "lately": lately, "place": visit.url("/errors")}
