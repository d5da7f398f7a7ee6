"""Groups of failures as pages show them, and what is done to all jobs of one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from toril.core.errors import QueryError
from toril.rest.answers import ErrorGroup, ErrorGroups, OperationPlan
from toril.rest.bodies import ErrorQuery, OperationBody, OperationsQuery
from toril.web.dashboard.finding import row
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem, of_error
from toril.web.routes.errors import list_errors
from toril.web.routes.search import begin_operation, list_operations, preview_operation

ROWS = 25
"""Groups on one page."""
LOOK_AT = ("500", "2000")
"""How many failed jobs a reader may have looked at: the newest."""
ACTIONS = ("retry", "remove")
MUCH = 10_000
"""From so many jobs on, the action has to be typed."""
SHOWN_S = 120.0
"""How long an operation that has ended is still shown."""
SAID = {
    "cancel_operation": N_("The operation ends where it stands."),
    "undo_operation": N_("The jobs are put back."),
}


async def failures(
    visit: Visit, queue: str | None = None, error: str = "", form: Form | None = None
) -> dict[str, Any]:
    """Return what a list of groups shows; with `?bulk=` also what an operation would do.

    Parameters:
        visit: Who asks.
        queue: Only failures of this queue.
        error: What was wrong with a form.
        form: What was typed, to be shown again.
    """
    look_at = int(visit.choice("look_at", LOOK_AT, LOOK_AT[0]))
    found: ErrorGroups = await visit.ask(
        list_errors, query=ErrorQuery(queue=queue, look_at=look_at)
    )
    first = int(visit.param("from")) if visit.param("from").isdecimal() else 0
    given = {name: values[-1] for name, values in (form or {}).items()}
    action = given.get("action") or visit.param("bulk")
    chosen = _chosen(found, given.get("group") or visit.param("group"))
    plan: OperationPlan | None = None
    if action in ACTIONS and chosen is not None:
        try:
            body = OperationBody(action=action, query=chosen.search)  # type: ignore[arg-type]  # one of `ACTIONS`
            plan = await visit.ask(preview_operation, body=body)
        except (QueryError, Problem) as refused:
            error = error or str(refused)
    elif action in ACTIONS:
        error = error or visit.t("This group of failures is gone: nothing is left to do.")
    return {
        "found": found,
        "groups": found.items[first : first + ROWS],
        "most": max((one.count for one in found.items), default=1),
        "first": first,
        "next": first + ROWS if first + ROWS < len(found.items) else None,
        "look_at": look_at,
        "looks": LOOK_AT,
        "bulk": action if action in ACTIONS else "",
        "chosen": chosen,
        "plan": plan,
        "samples": [] if plan is None else [row(one, visit.now) for one in plan.samples],
        "typed": plan is not None and plan.count >= MUCH,
        "bulk_error": error,
        "given": given,
    }


async def change(visit: Visit, form: Form, again: str) -> str | Response:
    """Begin an operation on all jobs of a group; return what is wrong, or lead back.

    Parameters:
        visit: Who asks.
        form: Which group, what is done to it, how fast and why.
        again: The address of the list.
    """
    given = {name: values[-1] for name, values in form.items()}
    if given.get("action") not in ACTIONS:
        return visit.t("Choose whether the jobs are retried or removed.")
    try:
        body = read_body(OperationBody, form, without=("queue", "ids"))
        plan = await visit.ask(preview_operation, body=body)
        if plan.count >= MUCH and given.get("confirm") != body.action:
            return visit.t("Type the word %(word)s: these are many jobs.", word=body.action)
        await visit.ask(begin_operation, body=body)
    except Exception as error:
        problem = of_error(error)
        if problem.status in (401, 503):
            raise
        return str(problem)
    return visit.back(again, visit.t("It has begun. How far it is stands above the list."))


async def recent_operations(visit: Visit) -> list[Any]:
    """Return the operations that run, or have just ended."""
    page = await visit.ask(list_operations, query=OperationsQuery(limit=20))
    return [
        one
        for one in page.items
        if one.action in ACTIONS
        and (one.ended_at is None or (visit.now - one.ended_at).total_seconds() < SHOWN_S)
    ][:5]


def _chosen(found: ErrorGroups, fingerprint: str) -> ErrorGroup | None:
    return next((one for one in found.items if one.fingerprint == fingerprint), None)
