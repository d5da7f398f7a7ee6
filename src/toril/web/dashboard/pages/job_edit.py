"""A job once more: with other data, as a new one, or changed where it is."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from toril.rest.answers import JobFacts, Value
from toril.rest.bodies import ChangeBody, NewJobBody, RetryBody
from toril.web.access.port import Permission
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.job_head import job_head
from toril.web.dashboard.page import N_, Form, Page
from toril.web.dashboard.values import indented
from toril.web.dashboard.visit import Visit
from toril.web.problems import Problem, of_error
from toril.web.routes.job_changes import change_job, retry_job
from toril.web.routes.jobs import add_job, get_data

PAGE = Page(
    name="job_edit",
    path="/queues/{queue}/jobs/{job_id}/edit",
    title=N_("Change a job"),
    permission=Permission.SUBMIT,
    under="jobs",
    styles=("queue.css", "job.css"),
)
MOST_BYTES = 512 * 1024
"""Of a payload that can be changed by hand."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show the job's data in a form."""
    return await _facts(visit, None)


@PAGE.act("change")
async def change(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Change the job where it is; one that has ended is retried with it."""
    head = await job_head(visit)
    job: JobFacts = head["job"]
    place = {"queue": job.queue, "job_id": job.id}
    try:
        body = read_body(
            ChangeBody, {**_only(form, "data", "priority", "reason"), "json": ["data"]}
        )
        if head["ended"] or body.priority == job.priority:
            body = msgspec.structs.replace(body, priority=msgspec.UNSET)
        await visit.ask(change_job, **place, body=body)
        if head["ended"]:
            await visit.ask(retry_job, **place, body=RetryBody(reason=body.reason))
    except Exception as error:
        return await _again(visit, form, error)
    if head["ended"]:
        text = visit.t("Job %(job_id)s is back in line, changed.", job_id=job.id)
    else:
        text = visit.t("Job %(job_id)s is changed.", job_id=job.id)
    return visit.back(visit.at("queues", job.queue, "jobs", job.id), text)


@PAGE.act("add")
async def add(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Add a new job like this one; this one stays as it is."""
    head = await job_head(visit)
    job: JobFacts = head["job"]
    try:
        given = {**_only(form, "data", "priority"), "name": [job.name], "json": ["data"]}
        body = read_body(NewJobBody, given)
        added = await visit.ask(add_job, queue=job.queue, body=body)
    except Exception as error:
        return await _again(visit, form, error)
    text = visit.t("Job %(id)s is added.", id=added.id)
    return visit.back(visit.at("queues", job.queue, "jobs", added.id), text)


def _only(form: Form, *names: str) -> dict[str, list[str]]:
    return {name: form[name] for name in names if name in form}


async def _again(visit: Visit, form: Form, error: Exception) -> dict[str, Any]:
    """Show the form again with what is wrong; what is nobody's mistake goes on."""
    problem = of_error(error)
    if problem.status in (401, 503):
        raise error
    return await _facts(visit, form, str(problem))


async def _facts(visit: Visit, form: Form | None, error: str = "") -> dict[str, Any]:
    head = await job_head(visit)
    job: JobFacts = head["job"]
    if form is not None:
        given = {name: values[-1] for name, values in form.items()}
    else:
        data: Value = await visit.ask(get_data, queue=job.queue, job_id=job.id)
        if data.bytes > MOST_BYTES:
            raise Problem(
                422,
                "data_too_large",
                f"the data of job {job.id!r} has {data.bytes:,} bytes; by hand up to"
                f" {MOST_BYTES:,} can be changed: use the REST interface",
            )
        stored = await visit.app.queue(job.queue).job(job.id).info()
        if data.text is None and stored.data != data.value:
            # What is hidden would be stored in the place of what it hides.
            raise Problem(
                422,
                "data_hidden",
                f"parts of the data of job {job.id!r} are hidden here, so it cannot be changed by"
                " hand: send all of it to the REST interface",
            )
        text = data.text if data.text is not None else indented(data.value)
        given = {"data": text, "priority": str(job.priority)}
    return {**head, "given": given, "error": error}
