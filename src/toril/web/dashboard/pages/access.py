"""Keys and users: who may ask, what each may, and one's own session."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from starlette.responses import Response

from toril.rest.answers import NewKey, UserLine
from toril.rest.bodies import KeyBody, ListQuery, RightsBody, UserBody
from toril.web.access.port import Permission, Role
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.problems import of_error
from toril.web.routes.access import add_key, add_user, change_user, list_keys, list_users
from toril.web.routes.server import get_me

PAGE = Page(
    name="access",
    path="/access",
    title=N_("Keys and users"),
    permission=Permission.ADMIN,
    nav=Nav(label=N_("Access"), order=110, key="a"),
    styles=("access.css",),
    said={
        "remove_key": N_("Key %(name)s is gone: its next request is refused."),
        "remove_user": N_("User %(name)s is gone, with all sessions."),
        "set_password": N_("User %(name)s has another password; all sessions have ended."),
    },
)
DAYS = (("", N_("never")), ("30", "30 d"), ("90", "90 d"), ("365", "1 y"))
"""After how many days a new key ends."""
ROLES = {
    Role.VIEWER: N_("sees queues, jobs and workers"),
    Role.SUBMITTER: N_("also adds jobs"),
    Role.OPERATOR: N_("also changes jobs, queues, schedules and workers"),
    Role.ADMIN: N_("also manages keys and users, and removes queues"),
}
MOST = 200


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read keys, users, and who asks."""
    return await _facts(visit, chosen=visit.param("user"))


@PAGE.act("key")
async def key(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Make a key, and show it this once."""
    days = (form.get("days") or [""])[-1]
    given = {**_given(form), "expires_s": [str(int(days) * 86_400) if days.isdecimal() else ""]}
    try:
        made = await visit.ask(add_key, body=read_body(KeyBody, given))
    except Exception as error:
        return await _again(visit, "key", form, error)
    return await _facts(visit, made=made)


@PAGE.act("user")
async def user(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Add a user."""
    try:
        body = read_body(UserBody, {**_given(form), "password": form.get("password", [""])})
        await visit.ask(add_user, body=body)
    except Exception as error:
        return await _again(visit, "user", form, error)
    text = visit.t("User %(name)s can sign in now.", name=body.name)
    return visit.back(visit.url("/access"), text)


@PAGE.act("rights")
async def rights(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Give a user other rights."""
    name = (form.get("name") or [""])[-1]
    given = {**_given(form), "version": form.get("version", [])}
    given.setdefault("queues", [])
    try:
        body = read_body(RightsBody, {field: given[field] for field in given if given[field]})
        if not given["queues"]:
            body = msgspec.structs.replace(body, queues=None)
        await visit.ask(change_user, name=name, body=body)
    except Exception as error:
        return await _again(visit, "rights", form, error)
    text = visit.t("User %(name)s has these rights from now on.", name=name)
    return visit.back(visit.url("/access"), text)


def _given(form: Form) -> dict[str, list[str]]:
    """Return the fields that keys and users have in common; queues stand one a line."""
    given = {name: form[name] for name in ("name", "role", "payloads", "reason") if name in form}
    text = (form.get("queues") or [""])[-1]
    queues = [line.strip() for line in text.splitlines() if line.strip()]
    return {**given, "queues": queues} if queues else given


async def _again(visit: Visit, which: str, form: Form, error: Exception) -> dict[str, Any]:
    """Show the form again with what is wrong; what is nobody's mistake goes on."""
    problem = of_error(error)
    if problem.status in (401, 503):
        raise error
    typed = {name: values[-1] for name, values in form.items() if name != "password"}
    chosen = typed.get("name", "") if which == "rights" else ""
    return await _facts(visit, which=which, typed=typed, error=str(problem), chosen=chosen)


async def _facts(
    visit: Visit,
    *,
    made: NewKey | None = None,
    which: str = "",
    typed: dict[str, str] | None = None,
    error: str = "",
    chosen: str = "",
) -> dict[str, Any]:
    keys, users, me = await asyncio.gather(
        visit.ask(list_keys, query=ListQuery()),
        visit.ask(list_users, query=ListQuery()),
        visit.ask(get_me),
    )
    to_change = next((user for user in users.items if user.name == chosen), None)
    return {
        "keys": keys.items[:MOST],
        "users": users.items[:MOST],
        "many": (len(keys.items), len(users.items)),
        "me": me,
        "made": made,
        "which": which,
        "typed": typed or {},
        "to_change": to_change,
        "rights": {} if to_change is None else _typed_of(to_change) | (typed or {}),
        "error": error,
        "roles": ROLES,
        "days": DAYS,
    }


def _typed_of(user: UserLine) -> dict[str, str]:
    """Return the fields of the form of rights, as they are now."""
    return {
        "name": user.name,
        "role": user.role,
        "queues": "\n".join(user.queues or ()),
        "payloads": "true" if user.payloads else "false",
        "version": user.version,
    }
