"""Go anywhere by a few letters: pages, queues, what can be done to them, jobs, saved views.

The palette (Ctrl-K) shows what this page finds; without scripts it is a page like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from toril.engine.info import QueueInfo
from toril.web.access.port import Permission
from toril.web.dashboard.page import N_, Page, pages
from toril.web.dashboard.views import views_of
from toril.web.dashboard.visit import Visit

PAGE = Page(name="go", path="/go", title=N_("Go to"), styles=("palette.css",))
MOST = 12
MOST_CHARS = 500


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Somewhere to go, or something to do."""

    label: str
    kind: str
    """What it is, in a word: a page, a queue, an action."""
    icon: str
    to: str = ""
    """Its address. Empty: it is done by a form."""
    route: str = ""
    """The route that does it."""
    fields: Mapping[str, str] = {}


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Find ways that fit what was typed."""
    typed = visit.param("q").strip()[:MOST_CHARS]
    ways = best(typed, [way async for way in _ways(visit)])
    if typed:
        ways.append(
            Way(
                label=visit.t("Search all jobs for %(words)s", words=typed),
                kind=visit.t("Jobs"),
                icon="search",
                to=visit.url("/jobs", q=typed),
            )
        )
    return {"typed": typed, "ways": ways}


async def _ways(visit: Visit) -> Any:
    for way in _pages(visit):
        yield way
    for view in views_of(visit.connection):
        yield Way(
            label=view.name, kind=visit.t("Saved view"), icon="search", to=visit.root + view.to
        )
    found = await visit.queues()
    for info in found:
        yield Way(
            label=info.name, kind=visit.t("Queue"), icon="nav-queues",
            to=visit.at("queues", info.name),
        )  # fmt: skip
    for info in found:
        for way in _acts(visit, info):
            yield way


def _pages(visit: Visit) -> Iterator[Way]:
    for page in pages():
        shown = not page.path.count("{") and page.name != "go"
        if shown and visit.may(page.permission):
            icon = f"nav-{page.name}" if page.nav is not None else "right"
            yield Way(
                label=visit.t(page.title), kind=visit.t("Page"), icon=icon, to=visit.url(page.path)
            )


def _acts(visit: Visit, info: QueueInfo) -> Iterator[Way]:
    name, kind = info.name, visit.t("Action")
    if info.failed:
        yield Way(
            label=visit.t("Failed jobs of %(queue)s", queue=name), kind=visit.t("Jobs"),
            icon="cross", to=visit.at("queues", name, q="state:failed"),
        )  # fmt: skip
    if visit.may(Permission.SUBMIT, name):
        yield Way(
            label=visit.t("Add a job to %(queue)s", queue=name), kind=kind, icon="plus",
            to=visit.at("queues", name, "add"),
        )  # fmt: skip
    if visit.may(Permission.OPERATE, name):
        text = (
            visit.t("Resume %(queue)s", queue=name)
            if info.paused
            else visit.t("Pause %(queue)s", queue=name)
        )
        yield Way(
            label=text, kind=kind, icon="play" if info.paused else "pause",
            route="resume_queue" if info.paused else "pause_queue", fields={"queue": name},
        )  # fmt: skip


def best(typed: str, ways: Iterable[Way]) -> list[Way]:
    """Return the ways that fit best: each word of what was typed is in their label.

    Labels that begin so come first, then those of which a part does; of equals the shorter.
    """
    words = typed.lower().split()
    fitting = []
    for place, way in enumerate(ways):
        label = way.label.lower()
        if all(word in label for word in words):
            fitting.append((_rank(label, words), len(label) if words else 0, place, way))
    fitting.sort(key=lambda one: one[:3])
    return [one[3] for one in fitting[:MOST]]


def _rank(label: str, words: list[str]) -> int:
    if not words or label == " ".join(words):
        return 0
    if label.startswith(words[0]):
        return 1
    for mark in ".:-_/":
        label = label.replace(mark, " ")
    parts = label.split()
    return 2 if all(any(part.startswith(word) for part in parts) for word in words) else 3
