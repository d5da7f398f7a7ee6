"""Flows whose root waits for its children: how far each has come, and which will never end."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from toril.core.errors import JobNotFoundError
from toril.engine.flow_stuck import StuckFlow
from toril.rest.answers import FlowLine, FlowProgressFacts
from toril.rest.bodies import FlowQuery, FlowsQuery
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.flows import get_flow, list_flows, list_stuck_flows

PAGE = Page(
    name="flows",
    path="/flows",
    title=N_("Flows"),
    nav=Nav(label=N_("Flows"), order=50, key="f"),
    styles=("queue.css", "flows.css"),
)
ROWS = 25
MOST = 1000
"""Flows that a list goes through."""
STUCK = 25
LOOKED_AT = 200
"""Jobs of each flow that are counted in the list."""
AT_ONCE = 8
REASONS = {
    "child_failed": N_("a child has failed"),
    "child_gone": N_("a child is gone"),
    "no_worker": N_("no worker for a child"),
    "nothing_pending": N_("waits for nothing"),
}


class Line(msgspec.Struct, frozen=True):
    """A flow in the list."""

    flow: FlowLine
    progress: FlowProgressFacts | None
    """None: it has just ended."""
    stuck: bool


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """List flows that go on, and before them those that never will."""
    queue = visit.param("queue").strip() or None
    start = int(visit.param("from")) if visit.param("from").isdecimal() else 0
    start = min(start, MOST - ROWS)
    stuck, page = await asyncio.gather(
        visit.ask(list_stuck_flows, query=FlowsQuery(queue=queue, limit=STUCK + 1)),
        visit.ask(list_flows, query=FlowsQuery(queue=queue, limit=min(MOST, start + ROWS + 1))),
    )
    held: list[StuckFlow] = stuck.items
    flows = page.items[start : start + ROWS]
    gate = asyncio.Semaphore(AT_ONCE)
    names = {(one.queue, one.job_id) for one in held}

    async def line(flow: FlowLine) -> Line:
        async with gate:
            return Line(flow, await _progress(visit, flow), (flow.queue, flow.id) in names)

    return {
        "queue": queue or "",
        "stuck": held[:STUCK],
        "more_stuck": len(held) > STUCK,
        "reasons": {word: visit.t(text) for word, text in REASONS.items()},
        "lines": list(await asyncio.gather(*map(line, flows))),
        "start": start,
        "next": start + ROWS if len(page.items) > start + ROWS else None,
    }


async def _progress(visit: Visit, flow: FlowLine) -> FlowProgressFacts | None:
    try:
        found = await visit.ask(
            get_flow, queue=flow.queue, job_id=flow.id, query=FlowQuery(limit=LOOKED_AT)
        )
    except JobNotFoundError:
        return None
    return found.progress
