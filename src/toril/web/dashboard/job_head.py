"""What every page of a job shows at its head."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from toril.engine.info import AttemptInfo
from toril.engine.states import FINISHED, State
from toril.rest.answers import JobFacts
from toril.web.dashboard.visit import Visit
from toril.web.routes.jobs import get_job

LOOSE = (State.WAIT, State.PRIORITIZED, State.DELAYED)
"""States in which a job is in nobody's hands."""


class Step(msgspec.Struct, frozen=True):
    """A stretch of a job's life."""

    kind: str
    """`wait`, `pause`, `run`: waiting in line, until a moment, or for the next attempt; running."""
    begin: datetime
    seconds: float
    attempt: AttemptInfo | None = None
    """`run`: the attempt. None: the one that goes on."""
    open: bool = False
    """It goes on."""
    order: int = 0
    """`run`: which of the attempts that are known, from 1."""


async def job_head(visit: Visit) -> dict[str, Any]:
    """Return the facts of the job in the path, and what may be done with it.

    Raises:
        Problem: There is none.
    """
    queue, job_id = visit.parts["queue"], visit.parts["job_id"]
    job = await visit.ask(get_job, queue=queue, job_id=job_id)
    return {
        "queue": queue,
        "job": job,
        "ended": job.state in FINISHED,
        "loose": job.state in LOOSE,
        "running": job.state is State.ACTIVE,
    }


def steps_of(job: JobFacts, attempts: list[AttemptInfo], now: datetime) -> list[Step]:
    """Return how a job has spent its time, oldest first, as far as it is known.

    Of a job that was retried by hand the attempts before are another life: time between two
    attempts is a pause, however long.
    """
    steps: list[Step] = []
    until = job.created_at
    for number, attempt in enumerate(attempts):
        gap_s = (attempt.started_at - until).total_seconds()
        if gap_s > 0:
            steps.append(Step("wait" if number == 0 else "pause", until, gap_s))
        length_s = max(0.0, (attempt.ended_at - attempt.started_at).total_seconds())
        steps.append(Step("run", attempt.started_at, length_s, attempt, order=number + 1))
        until = attempt.ended_at
    if job.state is State.ACTIVE and job.processed_at is not None:
        gap_s = (job.processed_at - until).total_seconds()
        if gap_s > 0:
            steps.append(Step("wait" if not attempts else "pause", until, gap_s))
        length_s = max(0.0, (now - job.processed_at).total_seconds())
        steps.append(Step("run", job.processed_at, length_s, open=True))
    elif job.state not in FINISHED:
        length_s = max(0.0, (now - until).total_seconds())
        steps.append(Step("wait" if not attempts else "pause", until, length_s, open=True))
    return steps
