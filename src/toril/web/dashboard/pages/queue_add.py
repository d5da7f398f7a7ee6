"""Adding a job by hand."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from toril.rest.bodies import NewJobBody
from toril.web.access.port import Permission
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form, Page
from toril.web.dashboard.queue_head import queue_head
from toril.web.dashboard.visit import Visit
from toril.web.problems import of_error
from toril.web.routes.jobs import add_job

PAGE = Page(
    name="queue_add",
    path="/queues/{queue}/add",
    title=N_("Add a job"),
    permission=Permission.SUBMIT,
    under="queues",
    styles=("queue.css",),
)


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show an empty form; `?name=` and `?data=` fill it."""
    given = {"name": visit.param("name"), "data": visit.param("data")}
    return await _facts(visit, given)


@PAGE.act("add")
async def add(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Add the job, or show the form again with what is wrong."""
    queue = visit.parts["queue"]
    try:
        body = read_body(NewJobBody, {**form, "json": ["data"]})
        added = await visit.ask(add_job, queue=queue, body=body)
    except Exception as error:
        problem = of_error(error)
        if problem.status in (401, 503):
            raise
        given = {name: values[-1] for name, values in form.items()}
        return await _facts(visit, given, str(problem), problem.field or "")
    if added.duplicate:
        text = visit.t("Nothing was added: job %(id)s is there already.", id=added.id)
    else:
        text = visit.t("Job %(id)s is added.", id=added.id)
    if added.warning:
        text += f" {added.warning}"
    kind = "note" if added.duplicate or added.warning else "good"
    return visit.back(visit.at("queues", queue), text, kind=kind)


async def _facts(
    visit: Visit, given: dict[str, str], error: str = "", wrong: str = ""
) -> dict[str, Any]:
    queue = visit.parts["queue"]
    head, workers = await asyncio.gather(queue_head(visit), visit.workers())
    tasks = {task.name for task in visit.app.tasks() if task.queue == queue}
    for worker in workers:
        tasks.update(name for name in (worker.tasks or {}).get(queue, []) if name != "*")
    return {
        **head,
        "given": given,
        "error": error,
        "wrong": wrong.partition(".")[0],
        "tasks": sorted(tasks)[:200],
    }
