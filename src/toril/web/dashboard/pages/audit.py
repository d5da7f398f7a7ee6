"""The audit log: who did what to what, with what was given, and how it was before and after."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec

from toril.engine.audit import AuditEntry
from toril.rest.bodies import AuditQuery
from toril.web.access.port import Permission
from toril.web.dashboard.page import N_, Page
from toril.web.dashboard.values import indented
from toril.web.dashboard.visit import Visit
from toril.web.routes.audit import list_audit

PAGE = Page(
    name="audit",
    path="/audit",
    title=N_("Audit log"),
    permission=Permission.ADMIN,
    under="operations",
    styles=("operations.css",),
)
ROWS = 50
SPANS = {"1h": timedelta(hours=1), "24h": timedelta(days=1), "7d": timedelta(days=7)}
FILTERS = ("actor", "verb", "queue", "job_id")
MOST_CHARS = 200
"""Of what was given, in one line; the whole is behind a click."""


class Line(msgspec.Struct, frozen=True):
    """An entry in the list."""

    entry: AuditEntry
    given: list[tuple[str, str]]
    """What it was given: each name with its value in short."""
    changes: list[tuple[str, str, str]]
    """Each fact that is another one since: its name, before, and after."""
    whole: str
    """The entry as JSON."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read a page of the log that fits the filters."""
    wanted = {name: visit.param(name).strip() for name in FILTERS}
    span = visit.choice("span", SPANS, "")
    query = AuditQuery(
        **{name: value or None for name, value in wanted.items()},
        since=visit.now - SPANS[span] if span else None,
        limit=ROWS,
        after=visit.param("after") or None,
    )
    found = await visit.ask(list_audit, query=query)
    lines = await asyncio.to_thread(lambda: [line_of(entry) for entry in found.items])
    return {
        "lines": lines,
        "next": found.next,
        "start": not visit.param("after"),
        "wanted": wanted,
        "filtered": {name: value for name, value in wanted.items() if value},
        "span": span,
        "spans": SPANS,
    }


def line_of(entry: AuditEntry) -> Line:
    """Return the line of an entry."""
    before, after = entry.before or {}, entry.after or {}
    names = list(dict.fromkeys([*before, *after]))
    facts = {
        name: getattr(entry, name)
        for name in (
            "position", "at", "actor", "kind", "verb", "queue", "job_id", "arguments", "count",
            "reason", "before", "after", "error",
        )
    }  # fmt: skip
    return Line(
        entry=entry,
        given=[
            (name, short(value))
            for name, value in entry.arguments.items()
            if value not in (None, "", [])
        ],
        changes=[
            (name, short(before.get(name)), short(after.get(name)))
            for name in names
            if before.get(name) != after.get(name)
        ],
        whole=indented({**facts, "at": entry.at.isoformat()}),
    )


def short(value: Any) -> str:
    """Return a value in one line."""
    if value is None:
        return "–"
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = ", ".join(value)
    else:
        text = indented(value)
    text = " ".join(text.split())
    return text if len(text) <= MOST_CHARS else text[:MOST_CHARS] + "…"
