"""One schedule: when it runs, how its runs went, and how it is changed."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from toril.core.reading import RawText
from toril.engine.schedules.info import ScheduleInfo
from toril.rest.bodies import ScheduleBody
from toril.web.dashboard.forms import read_body
from toril.web.dashboard.page import N_, Form, Page
from toril.web.dashboard.schedule_runs import next_runs, past_runs, utc
from toril.web.dashboard.schedule_words import when_words
from toril.web.dashboard.values import indented
from toril.web.dashboard.visit import Visit
from toril.web.problems import of_error
from toril.web.routes.schedules import get_schedule, put_schedule, remove_schedule

PAGE = Page(
    name="schedule",
    path="/schedules/{queue}/{schedule_id}",
    title=N_("Schedule"),
    under="schedules",
    styles=("queue.css", "schedules.css"),
)
STRIP = 30
"""Past runs on the page."""
MOST_CHARS = 100_000
"""Of a payload that can be changed by hand."""
KEPT = frozenset({"priority", "attempts"})
"""Options of jobs that the form keeps."""
_MISSED = {
    "skip": N_("none of them runs"),
    "one": N_("one run stands for all of them"),
    "all": N_("each of them runs, the newest 100"),
}


@PAGE.show
async def show(visit: Visit) -> dict[str, Any]:
    """Show the schedule; with `?edit=1` the form that changes it."""
    return await _facts(visit)


@PAGE.act("change")
async def change(visit: Visit, form: Form) -> dict[str, Any] | Response:
    """Change the schedule as the form says; it is shown again if that cannot be."""
    queue, schedule_id = visit.parts["queue"], visit.parts["schedule_id"]
    info: ScheduleInfo = await visit.ask(get_schedule, queue=queue, schedule_id=schedule_id)
    problem = await _fixed(visit, info)
    if problem:
        return await _facts(visit, form, problem)
    try:
        body = read_body(ScheduleBody, {**form, "json": ["data"]})
        await visit.ask(put_schedule, queue=queue, schedule_id=schedule_id, body=body)
    except Exception as error:
        found = of_error(error)
        if found.status in (401, 503):
            raise
        return await _facts(visit, form, str(found))
    text = visit.t("%(schedule_id)s is changed.", schedule_id=schedule_id)
    return visit.back(visit.at("schedules", queue, schedule_id), text)


@PAGE.act("remove")
async def remove(visit: Visit, form: Form) -> Response:
    """Remove the schedule, and lead back to the list."""
    parts = {"queue": visit.parts["queue"], "schedule_id": visit.parts["schedule_id"]}
    try:
        await visit.ask(remove_schedule, **parts)
    except Exception as error:
        found = of_error(error)
        if found.status in (401, 503):
            raise
        return visit.back(visit.at("schedules", *parts.values()), str(found), kind="bad")
    return visit.back(visit.url("/schedules"), visit.t("%(schedule_id)s is removed.", **parts))


async def _facts(visit: Visit, form: Form | None = None, error: str = "") -> dict[str, Any]:
    parts = {"queue": visit.parts["queue"], "schedule_id": visit.parts["schedule_id"]}
    info: ScheduleInfo = await visit.ask(get_schedule, **parts)
    runs = await past_runs(visit, info, STRIP)
    may_change = visit.may_use("put_schedule", parts)
    edits = may_change and (form is not None or bool(visit.param("edit")))
    fixed = await _fixed(visit, info) if edits else ""
    given = {name: values[-1] for name, values in form.items()} if form else _given(info)
    return {
        **parts,
        "info": info,
        "said": when_words(info, visit),
        "coming": next_runs(info, visit.now),
        "runs": runs,
        "data": indented(_plain(info.data)) if visit.payloads else None,
        "missed": {word: visit.t(text) for word, text in _MISSED.items()},
        "may_change": may_change,
        "edits": edits,
        "fixed": fixed,
        "given": given,
        "error": error,
    }


def _given(info: ScheduleInfo) -> dict[str, str]:
    options = info.options if isinstance(info.options, dict) else {}
    numbers = {
        "every_s": info.every_s,
        "offset_s": info.offset_s if info.every_s is not None else None,
        "jitter_s": info.jitter_s or None,
        "limit": info.limit,
        "priority": options.get("priority") or None,
        "max_attempts": options.get("attempts"),
    }
    return {
        "name": info.name,
        "cron": info.cron or "",
        "timezone": info.timezone or "",
        "missed": info.missed,
        "start": utc(info.start_at),
        "end": utc(info.end_at),
        "data": indented(_plain(info.data)),
        **{name: "" if value is None else f"{value:g}" for name, value in numbers.items()},
    }


def _plain(value: Any) -> Any:
    return value.raw if isinstance(value, RawText) else value


async def _fixed(visit: Visit, info: ScheduleInfo) -> str:
    """Return why the form cannot change a schedule without losing something; empty: it can."""
    stored = await visit.app.schedules.get(info.id, queue=info.queue)
    if stored is not None and (stored.data != info.data or isinstance(info.data, RawText)):
        return visit.t(
            "Parts of the data of its jobs are hidden here, so it cannot be changed by hand."
        )
    if len(indented(_plain(info.data))) > MOST_CHARS:
        return visit.t("The data of its jobs is too large to be changed by hand.")
    options = info.options if isinstance(info.options, dict) else {}
    others = sorted(set(options) - KEPT)
    if others:
        return visit.t(
            "Its jobs have options that this form would lose: %(options)s. Change it in code, or"
            " with its producer.",
            options=", ".join(others),
        )
    return ""
