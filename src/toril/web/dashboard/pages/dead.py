"""Dead letters: what failed for good in all queues, and how its jobs come back."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from toril.rest.answers import LetterLine, LetterQueue
from toril.rest.bodies import LetterQuery, ListQuery, RedriveBody
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form, Nav, Page
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem, of_error
from toril.web.routes.dead_letters import (
    list_letter_queues,
    list_letters,
    redrive_letter,
    remove_letter,
)

PAGE = Page(
    name="dead",
    path="/dead",
    title=N_("Dead letters"),
    nav=Nav(label=N_("Dead"), order=80, key="d"),
    styles=("queue.css", "dead.css"),
    said={
        "redrive_letter": N_("The job of letter %(letter_id)s is back in line."),
        "redrive_letters": N_("%(count)s jobs are back in line."),
        "remove_letters": N_("%(count)s letters are removed. Their jobs stay as they are."),
    },
)
ROWS = 35
COUNTED = 200
"""Letters that are counted before all that match are brought back."""
SHOWN = {"open": False, "back": True, "all": None}
"""Which letters: those whose job was not brought back, was, or all."""
ACTIONS = ("redrive", "remove")


class Found(msgspec.Struct, frozen=True):
    """Letters of one or several queues, one after the other."""

    letters: list[LetterLine]
    next_in: str = ""
    """The queue in which the next page begins."""
    next: str | None = None
    """Where in it. Empty: at its start. None: this was the last page."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """List letters; with `?bulk=`: what bringing back or removing all that match would do."""
    queues = (await visit.ask(list_letter_queues, query=ListQuery())).items
    names = [one.name for one in queues]
    only = visit.choice("letters", names, "")
    shown = visit.choice("show", SHOWN, "open")
    wanted = LetterQuery(
        queue=visit.param("queue").strip() or None,
        task=visit.param("task").strip() or None,
        error=(visit.param("error").strip() or None) if visit.payloads else None,
        redriven=SHOWN[shown],
        limit=ROWS,
    )
    found = await _letters(visit, [only] if only else names, wanted)
    action = visit.choice("bulk", ACTIONS, "")
    target = _target(queues, only)
    return {
        "queues": queues,
        "only": only,
        "found": found,
        "shown": shown,
        "shows": tuple(SHOWN),
        "wanted": wanted,
        "narrowed": bool(wanted.queue or wanted.task or wanted.error),
        "target": target,
        "can": any(
            visit.may_use("redrive_letter", {"letters": name})
            for name in ([only] if only else names)
        ),
        "bulk": action if target else "",
        "plan": await _plan(visit, target, wanted, action) if action and target else None,
        "start": not visit.param("after") and not visit.param("in"),
        "rows": ROWS,
    }


async def _letters(visit: Visit, names: list[str], wanted: LetterQuery) -> Found:
    """Return a page of the letters of some queues, from where the parameters say."""
    start = visit.choice("in", names, "")
    names = names[names.index(start) :] if start else names
    after = (visit.param("after") or None) if start else None
    letters: list[LetterLine] = []
    for place, name in enumerate(names):
        query = msgspec.structs.replace(wanted, limit=ROWS - len(letters), after=after)
        page = await visit.ask(list_letters, letters=name, query=query)
        letters += page.items
        if page.next is not None:
            return Found(letters, name, page.next)
        after = None
        if len(letters) >= ROWS and place + 1 < len(names):
            return Found(letters, names[place + 1], "")
    return Found(letters)


def _target(queues: list[LetterQueue], only: str) -> str:
    """Return the queue whose letters are changed all at once; empty: one has to be chosen."""
    return only or (queues[0].name if len(queues) == 1 else "")


async def _plan(visit: Visit, target: str, wanted: LetterQuery, action: str) -> dict[str, Any]:
    """Return how many letters would be changed. Those brought back before stay as they are."""
    redriven = False if action == "redrive" else wanted.redriven
    query = msgspec.structs.replace(wanted, limit=COUNTED, redriven=redriven)
    page = await visit.ask(list_letters, letters=target, query=query)
    return {
        "count": len(page.items),
        "exact": page.next is None,
        "samples": page.items[:10],
        "redriven": redriven,
    }


@PAGE.act("chosen")
async def chosen(visit: Visit, form: Form) -> Response:
    """Bring back the jobs of letters that were chosen, or remove the letters."""
    to = (form.get("next") or [visit.url("/dead")])[-1]
    action = (form.get("action") or [""])[-1]
    done = 0
    for value in form.get("letter", [])[:ROWS]:
        letters, _, letter_id = value.partition(":")
        try:
            if action == "redrive":
                redrive = read_body(RedriveBody, {"reason": form.get("reason", [])[-1:] or [""]})
                await visit.ask(redrive_letter, letters=letters, letter_id=letter_id, body=redrive)
            elif action == "remove":
                await visit.ask(remove_letter, letters=letters, letter_id=letter_id)
            else:
                raise Problem(422, "no_action", "action: expected redrive or remove")
        except Exception as error:
            problem = of_error(error)
            if problem.status in (401, 503):
                raise
            text = visit.t("%(done)s done, then: %(problem)s", done=done, problem=str(problem))
            return visit.back(to, text, kind="bad")
        done += 1
    if not done:
        return visit.back(to, visit.t("Choose at least one letter."), kind="note")
    if action == "redrive":
        return visit.back(
            to, visit.n("%(num)s job is back in line.", "%(num)s jobs are back in line.", done)
        )
    return visit.back(
        to, visit.n("%(num)s letter is removed.", "%(num)s letters are removed.", done)
    )
