"""`toril schedules`: the rules that make jobs, and the moments of any expression."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import STATE, RefusedError
from toril.cli.jobs_add import payload_of
from toril.cli.main import SuggestingGroup
from toril.cli.options import PRIORITY_HELP, duration, json_option, priority, store_options
from toril.cli.output import (
    BAD,
    DIM,
    WARN,
    Cell,
    Column,
    Output,
    as_data,
    moment_text,
    plural,
    short_duration,
    write,
)
from toril.core.clock import epoch_ms
from toril.core.durations import in_words
from toril.engine.options import JobOptions
from toril.engine.schedules import cron as crons
from toril.engine.schedules.info import ScheduleInfo
from toril.engine.schedules.turn import POLICIES

COLUMNS = (
    Column("QUEUE", cut=True),
    Column("SCHEDULE", cut=True),
    Column("WHEN"),
    Column("TASK", cut=True),
    Column("NEXT"),
    Column("IN", right=True),
    Column("MADE", right=True),
)

queue_option = click.option(
    "--queue", metavar="QUEUE", help="Its queue. Default: whichever has one of this id."
)


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def schedules(ctx: click.Context) -> None:
    """List, show, run, pause, resume, remove and put schedules; print moments of expressions."""
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@schedules.command("list")
@click.argument("queue", required=False)
@store_options
def list_schedules(queue: str | None, url: str | None, as_json: bool) -> None:
    """List the schedules of all queues, or of QUEUE.

    NEXT is when the next job is due, in local time. MADE counts the jobs so far.
    """
    output = Output(as_json=as_json)
    found = ask(url, lambda app: app.schedules.list(queue))
    if as_json:
        output.document({"schedules": [facts(one) for one in found]})
    elif found:
        output.table(COLUMNS, [row(one) for one in found])
        for one in found:
            if one.problem is not None:
                output.say(f"{one.queue} {one.id}: {one.problem}", WARN)
    else:
        output.say("No schedules: see toril schedules put --help, or @app.schedule.")


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@queue_option
@store_options
def show(schedule_id: str, queue: str | None, url: str | None, as_json: bool) -> None:
    """Show a schedule."""
    output = Output(as_json=as_json)
    found = ask(url, lambda app: _there(app, schedule_id, queue))
    if as_json:
        output.document(facts(found))
        return
    for name, value in (
        ("schedule", f"{found.queue} {found.id}"),
        ("makes", f"jobs {found.name!r}, {found.made:,} so far"),
        ("when", when(found)),
        ("timezone", found.timezone or "-"),
        ("next", _next(found)),
        ("start, end", f"{moment_text(found.start_at)}, {moment_text(found.end_at)}"),
        ("limit", "-" if found.limit is None else f"{found.limit:,}"),
        ("jitter", in_words(found.jitter_s)),
        ("missed", found.missed),
        ("declared", "by code" if found.declared else "no"),
        ("payload", repr(as_data(found.data))),
        ("options", repr(as_data(found.options))),
        ("problem", found.problem or "-"),
    ):
        output.say((Cell(f"{name:<12}", DIM), value))


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@queue_option
@store_options
def run(schedule_id: str, queue: str | None, url: str | None, as_json: bool) -> None:
    """Add a job as the schedule makes them, now."""
    job = ask(url, lambda app: app.schedules.run(schedule_id, queue=queue))
    done = {"schedule": schedule_id, "queue": job.queue, "id": job.id}
    Output(as_json=as_json).done(done, f"Job {job.id} added to {job.queue}.")


def _verb(name: str, text: str, sentence: str, act: Callable[..., Awaitable[object]]) -> None:
    @schedules.command(name, help=text)
    @click.argument("schedule_id", metavar="ID")
    @queue_option
    @store_options
    def verb(schedule_id: str, queue: str | None, url: str | None, as_json: bool) -> None:
        async def action(app: App) -> ScheduleInfo:
            found = await _there(app, schedule_id, queue)
            await act(app, schedule_id, found.queue)
            return found

        found = ask(url, action)
        done = {"schedule": schedule_id, "queue": found.queue}
        Output(as_json=as_json).done(done, sentence.format(schedule_id, found.queue))


_verb(
    "pause",
    "Let a schedule make no jobs until it is resumed.",
    "Schedule {} of {} pauses.",
    lambda app, schedule_id, queue: app.schedules.pause(schedule_id, queue=queue),
)
_verb(
    "resume",
    "Let a schedule go on, with its next moment from now.",
    "Schedule {} of {} goes on.",
    lambda app, schedule_id, queue: app.schedules.resume(schedule_id, queue=queue),
)
_verb(
    "remove",
    "Remove a schedule. One that code declares comes back with the next worker.",
    "Schedule {} of {} was removed.",
    lambda app, schedule_id, queue: app.schedules.remove(schedule_id, queue=queue),
)


@schedules.command()
@click.argument("schedule_id", metavar="ID")
@click.argument("queue")
@click.argument("name")
@click.argument("data", metavar="[JSON]", default="{}")
@click.option("--cron", metavar="EXPR", help="When, such as '0 6 * * *' or @daily.")
@click.option("--every", type=duration, metavar="TIME", help="In place of --cron: 90, 5m, 12h.")
@click.option(
    "--timezone", metavar="ZONE", help="Whose local time --cron means. Default: TORIL_TIMEZONE,"
    " else UTC.",
)  # fmt: skip
@click.option("--start", metavar="MOMENT", help="No job before, such as 2026-12-01T08:00+01:00.")
@click.option("--end", metavar="MOMENT", help="No job after.")
@click.option("--limit", type=click.IntRange(min=1), help="How many jobs in all. Default: no end.")
@click.option(
    "--offset", type=duration, metavar="TIME", help="With --every: so long after each full span,"
    " counted from 1970. Default: counted from the first job.",
)  # fmt: skip
@click.option("--immediately", is_flag=True, help="The first job is due now.")
@click.option(
    "--jitter",
    type=duration,
    metavar="TIME",
    default=0.0,
    help="Put each job off by up to so long. Default: 0.",
)
@click.option(
    "--missed", type=click.Choice(POLICIES), default="one", show_default=True, help="Whether slots"
    " that no worker took in time run: none of them, one for all, or each.",
)  # fmt: skip
@click.option("--priority", "rank", type=priority, default="0", help=PRIORITY_HELP)
@click.option(
    "--attempts",
    type=click.IntRange(min=1),
    help="Attempts of each job. Default: as its task says.",
)
@store_options
def put(
    schedule_id: str,
    queue: str,
    name: str,
    data: str,
    cron: str | None,
    every: float | None,
    timezone: str | None,
    start: str | None,
    end: str | None,
    limit: int | None,
    offset: float | None,
    immediately: bool,
    jitter: float,
    missed: Any,
    rank: int,
    attempts: int | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make the schedule ID, or change it: jobs called NAME in QUEUE, with the payload JSON.

    The payload is read as `toril jobs add` reads it, and checked when a job runs.
    """
    if (cron is None) == (every is None):
        raise click.UsageError("give --cron or --every" + (", not both." if cron else "."))
    payload = payload_of(data)
    options = JobOptions(priority=rank, max_attempts=attempts)
    begins, ends = _moment(start, "--start"), _moment(end, "--end")

    async def action(app: App) -> ScheduleInfo:
        return await app.schedules.put(
            schedule_id, app.queue(queue), payload, name=name, options=options, cron=cron,
            every=every, timezone=timezone, start=begins, end=ends, limit=limit, offset=offset,
            immediately=immediately, jitter=jitter, missed=missed,
        )  # fmt: skip

    found = ask(url, action, create=True)
    Output(as_json=as_json).done(facts(found), f"Schedule {found.id} of {queue}: {_next(found)}.")


@schedules.command("next")
@click.argument("expression", metavar="EXPR")
@click.option(
    "--timezone", metavar="ZONE", help="Whose local time. Default: TORIL_TIMEZONE, else UTC."
)
@click.option("--after", metavar="MOMENT", help="Later than this, in ISO 8601. Default: now.")
@click.option("--count", type=click.IntRange(1, 10_000), default=5, help="How many. Default: 5.")
@json_option
def next_moments(
    expression: str, timezone: str | None, after: str | None, count: int, as_json: bool
) -> None:
    """Print the coming moments of a cron expression, such as '0 6 * * *' or @daily.

    Five fields (minute, hour, day of month, month, day of week), or six with seconds first. A
    moment without an offset means the time zone's.
    """
    from toril.settings import Settings

    timezone = timezone or Settings.load().timezone
    fields, zone = crons.expanded(expression), crons.zone(timezone)
    begin = datetime.now(UTC) if after is None else _moment(after, "--after", zone)
    assert begin is not None  # noqa: S101 - for the type checker
    moments: list[datetime] = []
    slot_ms: int | None = epoch_ms(begin)
    while slot_ms is not None and len(moments) < count:
        slot_ms = crons.next_ms(fields, zone, slot_ms)
        if slot_ms is not None:
            moments.append(datetime.fromtimestamp(slot_ms / 1000, zone))
    output = Output(as_json=as_json)
    if as_json:
        texts = [at.isoformat() for at in moments]
        output.document({"cron": fields, "timezone": timezone, "moments": texts})
        return
    for at in moments:
        output.say(f"{at.isoformat()}  {at:%a}")
    if not moments:
        output.say("It does not come any more.")


def row(one: ScheduleInfo) -> list[str]:
    """Return a schedule's row under `COLUMNS`."""
    left_s = None
    if one.next_at is not None:
        left_s = (one.next_at - datetime.now(UTC)).total_seconds()
    if one.next_at is not None:
        due = Cell(moment_text(one.next_at))
    else:
        due = Cell("paused", WARN) if one.paused else Cell("ended", DIM)
    return [
        one.queue,
        Cell(one.id, BAD if one.problem else ""),
        when(one),
        one.name,
        due,
        short_duration(left_s),
        f"{one.made:,}",
    ]


def when(one: ScheduleInfo) -> str:
    """Return in a few words when a schedule makes jobs."""
    if one.every_s is not None:
        return f"every {in_words(one.every_s)}"
    return one.cron or "?"


def facts(one: ScheduleInfo) -> dict[str, Any]:
    """Return a schedule as JSON data: seconds, and moments as ISO texts."""
    data: dict[str, Any] = as_data(one)
    return {**data, "ended": one.ended}


def _next(one: ScheduleInfo) -> str:
    if one.next_at is not None:
        return f"next job at {moment_text(one.next_at)}"
    return "it pauses" if one.paused else "it has ended"


async def _there(app: App, schedule_id: str, queue: str | None) -> ScheduleInfo:
    found = await app.schedules.get(schedule_id, queue=queue)
    if found is None:
        known = {one.id for one in await app.schedules.list(queue)}
        hint = f"there {'is' if len(known) == 1 else 'are'} {plural(len(known), 'schedule')}"
        raise RefusedError(f"no schedule {schedule_id!r}: {hint}; see toril schedules list", STATE)
    return found


def _moment(text: str | None, option: str, zone: Any = UTC) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{option}={text!r}: expected a moment such as 2026-12-01T08:00+01:00."
        ) from None
    return at if at.utcoffset() is not None else at.replace(tzinfo=zone)
