"""The server and its store: alerts, health with a way out of each finding, settings, versions."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from toril.rest.answers import StoreCheck, StoreFinding
from toril.web.dashboard.page import N_, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.routes.alerts import list_alerts
from toril.web.routes.system import check_store, get_system

PAGE = Page(
    name="system",
    path="/system",
    title=N_("System"),
    nav=Nav(label=N_("System"), order=100, key="y"),
    styles=("system.css",),
    said={
        "mute_alerts": N_("Nobody is told of these alerts until the time is over."),
        "unmute_alerts": N_("These alerts are told again."),
    },
)
CHECK_S = 3.0
"""How long the page waits for a look over the store, unless the reader has asked for it."""
MOST = 200
GRADES = ("error", "warning", "ok")
RANKS = ("raised", "pending", "recovered")


class Health(msgspec.Struct, frozen=True):
    """What a look over the store has found, the worst first."""

    findings: list[StoreFinding]
    repairs: list[str]
    counted: dict[str, int]


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the alerts; for administrators also the server and its store."""
    alerts = await visit.ask(list_alerts)
    whole = visit.may_use("get_system", {})
    facts = checked = None
    if whole:
        facts, checked = await asyncio.gather(visit.ask(get_system), look_over(visit))
    found = sorted(alerts.alerts, key=lambda one: (RANKS.index(one.state), one.since))
    return {
        "alerts": alerts,
        "found": found[:MOST],
        "facts": facts,
        "health": health_of(checked) if checked is not None else None,
        "most": MOST,
    }


async def look_over(visit: Visit) -> StoreCheck | None:
    """Return what a look over the store finds; None if that takes long and nobody asked for it.

    A page that is open does not look again by itself.
    """
    if visit.refreshes:
        return None
    if visit.param("check") == "whole":
        return await visit.ask(check_store)
    try:
        async with asyncio.timeout(CHECK_S):
            return await visit.ask(check_store)
    except TimeoutError:
        return None


def health_of(checked: StoreCheck) -> Health:
    """Return findings, the worst first."""
    return Health(
        findings=sorted(checked.findings, key=lambda one: GRADES.index(one.grade))[:MOST],
        repairs=checked.repairs[:MOST],
        counted={grade: sum(one.grade == grade for one in checked.findings) for grade in GRADES},
    )
