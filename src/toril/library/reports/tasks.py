"""Reports as tasks: `app.include(reports)`, with `app.provide(Reports(source, objects))`."""

from __future__ import annotations

from datetime import date as date_of_calendar

from toril.core.codec import Json
from toril.engine.context import Context
from toril.engine.options import RetryPolicy
from toril.library.reports.making import Reports, Wanted
from toril.library.reports.payloads import Day, Formats, Recipients, ReportResult, Zone
from toril.library.reports.periods import Period, daily_period, weekly_period
from toril.services.unusable import UnusableInputError
from toril.tasks.bundle import TaskBundle
from toril.tasks.inject import provided

TIMEOUT_S = 1800.0
"""How long one report may take, in seconds."""
_SHOWN = 6
"""Figures in a mail."""
_RETRY = RetryPolicy(max_attempts=3, base_s=60.0, give_up_on=(UnusableInputError,))

reports = TaskBundle()
"""`reports.daily` on the queue `daily-reports`, `reports.weekly` on `weekly-reports`."""


@reports.task(
    name="reports.daily", queue="daily-reports", rename="camel", timeout=TIMEOUT_S, retry=_RETRY
)
async def daily(
    ctx: Context,
    date: Day | None = None,
    formats: Formats | None = None,
    recipients: Recipients | None = None,
    timezone: Zone = "UTC",
    *,
    work: Reports = provided(Reports),
) -> ReportResult:
    """Report a day, compared with the same day of the week before. A second run replaces the files.

    Parameters:
        date: Which. Default: the day before the job was due.
        formats: `pdf`, `csv`, `json`. Default: all.
        recipients: Who gets a mail with links. Default: the settings'.
        timezone: An IANA zone, whose day it is.

    Raises:
        UnusableInputError: The day or the zone is none; it is not tried again.
        StorageUnavailableError, sqlalchemy.exc.SQLAlchemyError: Tried again.
    """
    period = daily_period(date, ctx.due_at, timezone)
    wanted = Wanted(
        kind="daily",
        title="Daily report",
        period=period,
        formats=formats or ["pdf", "csv", "json"],
        compared=True,
        charts=True,
    )
    return await _report(ctx, work, wanted, recipients, _day_words(period.first))


@reports.task(
    name="reports.weekly", queue="weekly-reports", rename="camel", timeout=TIMEOUT_S, retry=_RETRY
)
async def weekly(
    ctx: Context,
    week_start: Day | None = None,
    formats: Formats | None = None,
    recipients: Recipients | None = None,
    include_comparison: bool = True,
    include_charts: bool = True,
    timezone: Zone = "UTC",
    *,
    work: Reports = provided(Reports),
) -> ReportResult:
    """Report a week from Monday to Sunday. A second run replaces the files.

    Parameters:
        week_start: Its Monday. Default: of the last week that was over when the job was due.
        formats: `pdf`, `csv`, `json`. Default: all.
        recipients: Who gets a mail with links. Default: the settings'.
        include_comparison: Compare it with the week before.
        include_charts: Draw charts, in the PDF.
        timezone: An IANA zone, whose days they are.

    Raises:
        UnusableInputError: The day is no Monday, or the zone none; it is not tried again.
        StorageUnavailableError, sqlalchemy.exc.SQLAlchemyError: Tried again.
    """
    period = weekly_period(week_start, ctx.due_at, timezone)
    wanted = Wanted(
        kind="weekly",
        title="Weekly report",
        period=period,
        formats=formats or ["pdf", "csv", "json"],
        compared=include_comparison,
        charts=include_charts,
    )
    return await _report(ctx, work, wanted, recipients, _week_words(period))


async def _report(
    ctx: Context, work: Reports, wanted: Wanted, recipients: list[str] | None, period: str
) -> ReportResult:
    report, stored = await work.make(wanted)
    to = list(work.settings.recipients) if recipients is None else recipients
    if to:
        figures: dict[str, Json] = {}
        for one in report.content.figures[:_SHOWN]:
            figures[one.label] = f"{one.plain()} {one.currency or ''}".strip()
        variables: Json = {
            "title": wanted.title,
            "period": period,
            "figures": figures,
            "links": {**await work.links(stored)},
            "expires_in": _life_words(work.settings.link_s),
        }
        for address in to:
            mail: dict[str, Json] = {
                "to": address,
                "template": "report_ready",
                "variables": variables,
            }
            ctx.enqueue(work.settings.mail_task, mail, queue=work.settings.mail_queue)
    return ReportResult(start=report.start, end=report.end, files=stored, mailed=len(to))


def _life_words(life_s: float) -> str:
    for unit_s, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if life_s >= 2 * unit_s:
            return f"{life_s // unit_s:g} {name}"
    return "a minute"


def _week_words(period: Period) -> str:
    first, last = period.first, period.last
    begin = _day_words(first)
    if first.year == last.year:
        begin = f"{first.day}" if first.month == last.month else f"{first.day} {first:%B}"
    return f"{begin} to {_day_words(last)}"


def _day_words(day: date_of_calendar) -> str:
    return f"{day.day} {day:%B %Y}"
