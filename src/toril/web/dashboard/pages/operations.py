"""Operations on many jobs: those that are under way, and those of the last week."""

from __future__ import annotations

from typing import Any

import msgspec

from toril.engine.bulk.info import OperationInfo
from toril.rest.bodies import OperationsQuery
from toril.web.access.port import Permission
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.search import list_operations

PAGE = Page(
    name="operations",
    path="/operations",
    title=N_("Operations"),
    nav=Nav(label=N_("Operations"), order=90, key="p"),
    styles=("operations.css",),
)
MOST = 100
STATES = ("running", "done", "cancelled", "failed", "undone")


class Line(msgspec.Struct, frozen=True):
    """An operation in the list."""

    info: OperationInfo
    lasted_s: float
    """How long it took, or has taken."""
    per_s: float | None
    """Jobs a second that it changed. None: too short to say."""
    may: bool
    """The reader may stop it, and undo it."""
    undo_left_s: float | None
    """For how long its jobs can be put back. None: they cannot."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the operations, those under way first."""
    found = await visit.ask(list_operations, query=OperationsQuery(limit=MOST))
    lines = [line_of(visit, info) for info in found.items]
    counted = {word: sum(one.info.state == word for one in lines) for word in STATES}
    only = visit.choice("state", STATES, "")
    shown = [one for one in lines if not only or one.info.state == only]
    return {
        "running": [one for one in shown if one.info.state == "running"],
        "past": [one for one in shown if one.info.state != "running"],
        "all": len(lines),
        "counted": counted,
        "states": STATES,
        "only": only,
        "most": MOST,
    }


def line_of(visit: Visit, info: OperationInfo) -> Line:
    """Return the line of an operation."""
    lasted_s = max(0.0, ((info.ended_at or visit.now) - info.created_at).total_seconds())
    undo_left_s = None
    if info.undo_until is not None and info.state in ("done", "cancelled", "failed") and info.done:
        left_s = (info.undo_until - visit.now).total_seconds()
        undo_left_s = left_s if left_s > 0 else None
    return Line(
        info=info,
        lasted_s=lasted_s,
        per_s=info.done / lasted_s if lasted_s >= 0.1 and info.done else None,
        may=all(visit.may(Permission.OPERATE, queue) for queue in info.queues)
        and visit.principal.may_somewhere(Permission.OPERATE),
        undo_left_s=undo_left_s,
    )
