"""A queue's jobs: search, selection, and what is done to many of them."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from toril.core.errors import QueryError
from toril.engine.search.grammar import parse
from toril.rest.answers import OperationPlan
from toril.rest.bodies import OperationBody
from toril.web.dashboard.finding import find_jobs, row, with_state, within
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form, Page, Tab
from toril.web.dashboard.queue_head import LIFE, queue_head
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem, of_error
from toril.web.routes.search import begin_operation, preview_operation

PAGE = Page(
    name="queue",
    path="/queues/{queue}",
    title=N_("Queue"),
    under="queues",
    tab=Tab(of="queue", label=N_("Jobs"), order=10),
    styles=("queue.css",),
    scripts=("complete.js",),
    said={
        "begin_operation": N_("It has begun. How far it is stands above the list."),
        "cancel_operation": N_("The operation ends where it stands."),
        "undo_operation": N_("The jobs are put back."),
    },
)

ACTIONS = ("retry", "promote", "cancel", "move", "remove")
MUCH = 10_000
"""From so many jobs on, the name of the queue has to be typed."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Read the queue and its jobs; with `?bulk=`: what an operation on all that match would do."""
    action = visit.choice("bulk", ACTIONS, "")
    return await _facts(visit, action)


async def _facts(
    visit: Visit, action: str, error: str = "", form: Form | None = None
) -> dict[str, Any]:
    queue = visit.parts["queue"]
    head, list_of = await asyncio.gather(queue_head(visit), find_jobs(visit, queue))
    plan: OperationPlan | None = None
    if action and not list_of["problem"]:
        try:
            body = OperationBody(action=action, query=_query(queue, list_of["q"]))  # type: ignore[arg-type]  # one of `ACTIONS`
            plan = await visit.ask(preview_operation, body=body)
        except (QueryError, Problem) as refused:
            error = error or str(refused)
    return {
        **head,
        **list_of,
        "actions": ACTIONS,
        "by_state": {state: with_state(list_of["q"], state) for state in LIFE},
        "any_state": with_state(list_of["q"], None),
        "bulk": action,
        "plan": plan,
        "samples": [] if plan is None else [row(one, visit.now) for one in plan.samples],
        "typed": plan is not None and plan.count >= MUCH,
        "bulk_error": error,
        "given": {name: values[-1] for name, values in (form or {}).items()},
    }


@PAGE.act("bulk")
async def bulk(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Begin an operation on all jobs that match; many of them only with the queue's name typed."""
    queue = visit.parts["queue"]
    action = (form.get("action") or [""])[-1]
    query = _query(queue, (form.get("q") or [""])[-1])
    try:
        body = read_body(OperationBody, {**form, "query": [query]}, without=("queue", "ids"))
        plan = await visit.ask(preview_operation, body=body)
        if plan.count >= MUCH and (form.get("confirm") or [""])[-1] != queue:
            return await _facts(
                visit, action, visit.t("Type the name of the queue: these are many jobs."), form
            )
        await visit.ask(begin_operation, body=body)
    except Exception as error:
        problem = of_error(error)
        if problem.status in (401, 503):
            raise
        return await _facts(visit, action if action in ACTIONS else "", str(problem), form)
    return visit.back(
        visit.at("queues", queue, q=(form.get("q") or [""])[-1]),
        visit.t("It has begun. How far it is stands above the list."),
    )


def _query(queue: str, text: str) -> str:
    return str(within(parse(text), queue))
