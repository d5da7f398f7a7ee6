"""Checks jobs that come from outside by name: over HTTP, from a form, from another program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from toril.core.codec import Json
from toril.engine.drafts import EnqueueMiddleware, through
from toril.engine.job import NewJob
from toril.engine.new_jobs import Blueprint, payload_text
from toril.engine.options import JobOptions
from toril.tasks.task import Task


class Request(NamedTuple):
    """A job that somebody asks for."""

    name: str
    """The name of its task."""
    data: Json = None
    options: JobOptions | None = None


def job_of_request(
    task: Task[Any, Any] | None,
    queue: str,
    request: Request,
    middleware: Sequence[EnqueueMiddleware],
    seal: Callable[[str], str] | None = None,
) -> NewJob:
    """Return the job that a request asks for, checked as a call of the task itself would be.

    Parameters:
        task: Its task. None: the app has none of that name, so only its size is checked.
        queue: Where it goes.
        request: What was asked for.
        middleware: What sees each new job first.
        seal: Seals fields of a payload. None: none is sealed.

    Raises:
        InvalidOptionError: There can be no such job.
        InvalidPayloadError: The payload does not fit the task.
    """
    name, data, options = request
    text = payload_text(name, data)
    bound = None if task is None else task.binding
    if task is None:
        job = Blueprint(queue, name, options, seal=seal).job(text)
    elif bound is not None:
        job, most = bound.job_named(name, text, options), task.max_payload_bytes
    else:
        task.signature.check_text(text)
        most = task.max_payload_bytes
        blueprint = Blueprint(queue, name, options, task.retry, max_payload_bytes=most, seal=seal)
        job = blueprint.job(text)
    if not middleware:
        return job
    if task is None:
        job = through(middleware, job)
    else:
        job = through(middleware, job, read=task.arguments, max_payload_bytes=most)
    # Middleware may have set a sealed field.
    return job if seal is None else msgspec.structs.replace(job, data=seal(job.data))
