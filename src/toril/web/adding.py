"""Adds jobs that a request asks for: once for each `Idempotency-Key`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from toril.engine.deduplication import Deduplication
from toril.engine.options import JobOptions, KeepPolicy
from toril.engine.queue import no_task_words
from toril.rest.answers import AddedJob
from toril.rest.bodies import KeepBody, NewJobBody
from toril.tasks.door import Request
from toril.web.call import Call
from toril.web.problems import Problem

KEY = "idempotency-key"
MAX_KEY_CHARS = 255
KEPT_S = 86_400.0
"""How long a key is remembered."""


async def add_jobs(call: Call, queue: str, bodies: Sequence[NewJobBody]) -> list[AddedJob]:
    """Add jobs, all or none; answer for each.

    A job that is added with an idempotency key holds a de-duplication id made of the key for a day,
    so the store itself refuses a second one, whichever server is asked.

    Raises:
        Problem: The caller adds too many, or gives a key beside a de-duplication id.
    """
    call.submissions.take(call.principal.actor, len(bodies))
    key = _key(call)
    requests = [
        Request(body.name, body.data, _options(call, queue, body, key, place))
        for place, body in enumerate(bodies)
    ]
    jobs = await call.app.add_requests(queue, requests)
    tasks = [task for task in call.app.tasks() if task.queue == queue]
    known = [task.name for task in tasks]
    if any(task.options.any_name for task in tasks):
        known = []
    return [
        AddedJob(
            id=job.id,
            queue=queue,
            duplicate=job.duplicate,
            warning=None
            if not known or body.name in known
            else no_task_words(queue, body.name, known),
        )
        for job, body in zip(jobs, bodies, strict=True)
    ]


def _key(call: Call) -> str | None:
    key = call.headers.get(KEY)
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY_CHARS or not key.isprintable():
        raise Problem(
            422,
            "idempotency_key",
            f"Idempotency-Key: expected 1 to {MAX_KEY_CHARS} printable characters",
            field=KEY,
        )
    return key


def _options(call: Call, queue: str, body: NewJobBody, key: str | None, place: int) -> JobOptions:
    wanted = body.deduplication
    options = JobOptions(
        job_id=body.job_id,
        delay_s=body.delay_s,
        run_at=body.run_at,
        priority=body.priority,
        lifo=body.lifo,
        max_attempts=body.max_attempts,
        backoff=body.backoff,
        backoff_s=body.backoff_s,
        jitter_ratio=body.jitter_ratio,
        keep_completed=_keep(body.keep_completed),
        keep_failed=_keep(body.keep_failed),
        keep_logs=body.keep_logs,
        deduplication=None if wanted is None else Deduplication(wanted.id, ttl_s=wanted.ttl_s),
    )
    if key is None:
        return options
    if wanted is not None:
        raise Problem(
            422,
            "idempotency_key",
            "give an Idempotency-Key or a deduplication, not both: a job holds one such id",
            field="deduplication",
        )
    whose = "\0".join((call.principal.actor, queue, key, str(place)))
    digest = hashlib.blake2b(whose.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return replace(options, deduplication=Deduplication(f"idempotency-{digest}", ttl_s=KEPT_S))


def _keep(body: KeepBody | None) -> KeepPolicy | None:
    return None if body is None else KeepPolicy(count=body.count, age_s=body.age_s)
