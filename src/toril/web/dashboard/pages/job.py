"""One job: why it is where it is, its attempts, what it carries and returns, what it has logged."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import msgspec

from toril.engine.explanation import Explanation
from toril.engine.info import AttemptInfo
from toril.rest.answers import JobFacts, LogPage, Value
from toril.rest.bodies import LineQuery, ListQuery
from toril.web.dashboard.job_head import job_head, steps_of
from toril.web.dashboard.page import N_, Page, Tab
from toril.web.dashboard.tracebacks import Part, parts_of
from toril.web.dashboard.values import Shown, literal, shown
from toril.web.dashboard.visit import Visit
from toril.web.paging import after_number
from toril.web.routes.jobs import (
    explain_job,
    get_data,
    get_result,
    list_attempts,
    list_log_lines,
)

PAGE = Page(
    name="job",
    path="/queues/{queue}/jobs/{job_id}",
    title=N_("Job"),
    under="jobs",
    tab=Tab(of="job", label=N_("Job"), order=10),
    styles=("queue.css", "job.css"),
    said={
        "change_job": N_("Job %(job_id)s is changed."),
        "leave_flow": N_("Job %(job_id)s is untied from its parent."),
        "add_log_line": N_("The line is in the log of job %(job_id)s."),
    },
)
_OUTCOMES = {
    "completed": N_("completed"),
    "failed": N_("failed for good"),
    "retried": N_("failed, to be tried again"),
    "snoozed": N_("put off"),
    "released": N_("given back"),
    "waiting_children": N_("waits for children"),
    "stalled": N_("lost its worker"),
}
LOG_LINES = 200
"""Of the log, on one page."""
MOST_COPIED_BYTES = 20_000
"""Of a payload that is copied as a command or a test."""


class Attempt(msgspec.Struct, frozen=True):
    """An attempt that has ended, to be shown."""

    info: AttemptInfo
    seconds: float
    parts: list[Part]
    """Of its traceback."""


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show the job. `log=` is where the log goes on."""
    head = await job_head(visit)
    job: JobFacts = head["job"]
    place = {"queue": job.queue, "job_id": job.id}
    why: Explanation = await visit.ask(explain_job, **place)
    facts: dict[str, Any] = {
        **head,
        "why": why,
        "attempts": [],
        "data": None,
        "result": None,
        "log": None,
        "log_start": not visit.param("log"),
        "log_from": after_number(visit.param("log") or None) + 1,
        "outcomes": {word: visit.t(text) for word, text in _OUTCOMES.items()},
    }
    attempts: list[AttemptInfo] = []
    if visit.payloads:
        lines = LineQuery(limit=LOG_LINES, after=visit.param("log") or None)
        data, result, ended, log = await asyncio.gather(
            visit.ask(get_data, **place),
            visit.ask(get_result, **place),
            visit.ask(list_attempts, **place, query=ListQuery()),
            visit.ask(list_log_lines, **place, query=lines),
        )
        attempts = ended.items
        facts |= _carried(visit, job, data, result, attempts, log)
    facts["steps"] = steps_of(job, attempts, visit.now)
    return facts


def _carried(
    visit: Visit,
    job: JobFacts,
    data: Value,
    result: Value,
    attempts: list[AttemptInfo],
    log: LogPage,
) -> dict[str, Any]:
    returned: Shown | None = None if job.result_preview is None else shown(result)
    return {
        "data": shown(data),
        "result": returned,
        "attempts": [_attempt(one) for one in reversed(attempts)],
        "log": log,
        "test": _test(job, data),
        "curl": _curl(visit, data, job),
    }


def _attempt(info: AttemptInfo) -> Attempt:
    seconds = (info.ended_at - info.started_at).total_seconds()
    return Attempt(info, seconds, parts_of(info.traceback or ""))


def _test(job: JobFacts, data: Value) -> str | None:
    """Return a test in Python that runs a job with this payload; None: it is too large, or text."""
    if data.text is not None or data.bytes > MOST_COPIED_BYTES:
        return None
    payload = literal(data.value)
    return (
        "from toril.testing import in_memory\n\n"
        "from shop import app  # yours\n\n\n"
        "async def test_job_like_this_one() -> None:\n"
        "    async with in_memory(app) as bench:\n"
        f"        await app.queue({job.queue!r}).add({job.name!r}, {payload})\n"
        "        ran = await bench.run_until_idle()\n"
        "        assert ran.completed\n"
    )


def _curl(visit: Visit, data: Value, job: JobFacts) -> str | None:
    """Return a command that adds a job like this one; None: it is too large, or text."""
    if data.text is not None or data.bytes > MOST_COPIED_BYTES:
        return None
    # In ASCII: what turns the direction of writing would be pasted into a terminal.
    body = json.dumps({"name": job.name, "data": data.value}).replace("'", "'\\''")
    origin = f"{visit.connection.url.scheme}://{visit.connection.url.netloc}"
    path = f"{visit.dashboard.api_path}/queues/{quote(job.queue, safe='')}/jobs"
    return (
        f"curl -X POST {origin}{visit.root}{path} \\\n"
        "  -H \"Authorization: Bearer $TORIL_KEY\" -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'\n"
    )
