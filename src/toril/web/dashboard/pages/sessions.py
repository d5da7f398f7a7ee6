"""Sessions: where one is signed in oneself, and for administrators where everybody is."""

from __future__ import annotations

import asyncio
from typing import Any

from toril.rest.answers import SessionLine
from toril.rest.bodies import ListQuery, SessionQuery
from toril.web.dashboard.page import N_, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.sessions import list_my_sessions, list_sessions

PAGE = Page(
    name="sessions",
    path="/sessions",
    title=N_("Sessions"),
    under="access",
    styles=("access.css",),
    said={
        "end_my_session": N_("That browser is signed out."),
        "end_my_sessions": N_("Browsers that were signed out: %(count)s."),
        "end_session": N_("That browser is signed out."),
        "end_sessions": N_("Browsers that were signed out: %(count)s."),
    },
)
MOST = 200


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read one's own sessions, and for administrators those of everybody or of one."""
    user, key = visit.param("user"), visit.param("key")
    kind, name = ("user", user) if user else ("key", key) if key else (None, None)
    mine, all_of = await asyncio.gather(
        visit.ask(list_my_sessions, query=ListQuery()), _of(visit, kind, name)
    )
    return {
        "mine": mine.items[:MOST],
        "others": len([one for one in mine.items if not one.current]),
        "everybody": all_of is not None,
        "sessions": (all_of or [])[:MOST],
        "many": len(all_of or []),
        "kind": kind,
        "name": name,
    }


async def _of(visit: Visit, kind: Any, name: str | None) -> list[SessionLine] | None:
    """Return the sessions of somebody, or of all. None: the reader may see only its own."""
    if not visit.may_use("list_sessions", {}):
        return None
    name = None if name is None else name[:512]
    page = await visit.ask(list_sessions, query=SessionQuery(kind=kind, name=name))
    return page.items
