"""Routes about browsers that are signed in: one's own, and for administrators everybody's."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.rest.answers import Done, Page, SessionLine
from toril.rest.bodies import ListQuery, OthersQuery, SessionQuery, WhoseQuery
from toril.web.access.control import AccessControl
from toril.web.access.port import Permission
from toril.web.access.session_list import SessionInfo, SessionList
from toril.web.call import Call
from toril.web.declaring import Routes
from toril.web.problems import Problem

routes = Routes("sessions")


@routes.get("/me/sessions")
async def list_my_sessions(call: Call, query: ListQuery) -> Page[SessionLine]:
    """List the sessions of the one who asks, of all browsers."""
    principal = call.principal
    found = await SessionList(call.app).list(principal.kind, principal.name, current=_current(call))
    return _lines(found)


@routes.delete("/me/sessions", Permission.READ)
async def end_my_sessions(call: Call, query: OthersQuery) -> Done:
    """End one's own sessions: all, or all but the one that asks."""
    principal = call.principal
    keep = _current(call) if query.others else None
    count = await SessionList(call.app).end_all(principal.kind, principal.name, keep=keep)
    if count:
        call.live.ask_again()
    return Done(count=count or 0)


@routes.delete("/me/sessions/{session_id}", Permission.READ)
async def end_my_session(call: Call, session_id: str) -> Done:
    """End one of one's own sessions. Its next request is refused."""
    person = call.principal.kind, call.principal.name
    if not await SessionList(call.app).end(session_id, person):
        raise _no_session(session_id, "GET /me/sessions")
    call.live.ask_again()
    return Done(count=1)


@routes.get("/sessions", Permission.ADMIN)
async def list_sessions(call: Call, query: SessionQuery) -> Page[SessionLine]:
    """List the sessions of everybody, or of one user or key: the one seen last first."""
    return _lines(await SessionList(call.app).list(query.kind, query.name, current=_current(call)))


@routes.delete("/sessions", Permission.ADMIN, errors=(404,))
async def end_sessions(call: Call, query: WhoseQuery) -> Done:
    """End all sessions of a user, or of those who have signed in with a key."""
    count = await SessionList(call.app).end_all(query.kind, query.name)
    if count is None:
        raise Problem(
            404,
            f"{query.kind}_not_found",
            f"no {query.kind} {query.name!r}: GET /{query.kind}s lists those there are",
            field="name",
        )
    if count:
        call.live.ask_again()
    return Done(count=count)


@routes.delete("/sessions/{session_id}", Permission.ADMIN)
async def end_session(call: Call, session_id: str) -> Done:
    """End a session, whosever it is. Its next request is refused."""
    if not await SessionList(call.app).end(session_id):
        raise _no_session(session_id, "GET /sessions")
    call.live.ask_again()
    return Done(count=1)


def _current(call: Call) -> str | None:
    """Return the digest of the session that asks, if one does."""
    if not isinstance(call.access, AccessControl):
        return None
    return call.access.sessions.current(call.connection)


def _lines(found: Sequence[SessionInfo]) -> Page[SessionLine]:
    return Page(msgspec.convert(found, list[SessionLine], from_attributes=True))


def _no_session(session_id: str, where: str) -> Problem:
    return Problem(
        404,
        "session_not_found",
        f"no session {session_id!r}, or it has ended: {where} lists those there are",
    )
