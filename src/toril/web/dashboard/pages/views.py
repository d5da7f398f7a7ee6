"""Saved views: searches and filters under names of the reader's own; saved, opened, forgotten."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from toril.web.dashboard.page import N_, Form, Page
from toril.web.dashboard.views import (
    MOST,
    MOST_NAME_CHARS,
    View,
    cookie_for,
    is_local,
    views_of,
)
from toril.web.dashboard.visit import Visit

PAGE = Page(
    name="views",
    path="/views",
    title=N_("Saved views"),
    styles=("views.css",),
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show the saved views, and a form for the page that the reader comes from."""
    to = visit.param("to")
    return _facts(visit, to=to if is_local(to) else "")


@PAGE.act("save")
async def save(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Save a view; one of the same name is replaced."""
    name, to = " ".join(_one(form, "name").split()), _one(form, "to")
    if not is_local(to):
        return _facts(visit, name=name, error=visit.t("This is no page of the dashboard."))
    if not 0 < len(name) <= MOST_NAME_CHARS or not name.isprintable():
        error = visit.t("A name has 1 to %(most)s characters.", most=MOST_NAME_CHARS)
        return _facts(visit, to=to, name=name[:MOST_NAME_CHARS], error=error)
    kept = [*(one for one in views_of(visit.connection) if one.name != name), View(name, to)]
    cookie = cookie_for(kept, visit.connection) if len(kept) <= MOST else None
    if cookie is None:
        error = visit.t("There is no room for more: forget one of the others first.")
        return _facts(visit, to=to, name=name, error=error)
    answer = visit.back(visit.root + to, visit.t("%(name)s is saved.", name=name))
    answer.headers.append("set-cookie", cookie)
    return answer


@PAGE.act("forget")
async def forget(visit: Visit, form: Form) -> Response:
    """Forget a view."""
    name = _one(form, "name")
    kept = [one for one in views_of(visit.connection) if one.name != name]
    answer = visit.back(visit.url("/views"), visit.t("%(name)s is forgotten.", name=name))
    answer.headers.append("set-cookie", cookie_for(kept, visit.connection) or "")
    return answer


def _facts(visit: Visit, *, to: str = "", name: str = "", error: str = "") -> dict[str, Any]:
    return {"to": to, "name": name, "error": error, "most_chars": MOST_NAME_CHARS}


def _one(form: Form, name: str) -> str:
    return (form.get(name) or [""])[-1]
