"""`toril alerts`: what is wrong, who is not told of it, and whether messages arrive."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress

import click

from toril.alerts.handle import AlertInfo, MuteInfo, UnsentInfo
from toril.app import App
from toril.cli.access import ask, who
from toril.cli.codes import DONE, ERROR, STATE, RefusedError
from toril.cli.main import SuggestingGroup
from toril.cli.options import duration, json_option, store_options
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    WARN,
    Cell,
    Column,
    Output,
    as_data,
    moment_text,
    write,
)

COLUMNS = (
    Column("RULE"),
    Column("QUEUE", cut=True),
    Column("STATE"),
    Column("SINCE"),
    Column("TOLD"),
    Column("WHAT", wrap=True),
)
STYLES = {"raised": BAD, "pending": WARN, "recovered": GOOD}


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def alerts(ctx: click.Context) -> None:
    """List alerts, mute them, and try the channels by which people are told.

    What is watched, and who is told, the app declares: App(alerts=AlertOptions(...)). Its workers
    watch.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@alerts.command("list")
@store_options
def list_alerts(url: str | None, as_json: bool) -> None:
    """List alerts that are raised, pending, or have recovered lately; what is muted and unsent."""

    async def act(
        app: App,
    ) -> tuple[Sequence[AlertInfo], Sequence[MuteInfo], Sequence[UnsentInfo]]:
        handle = app.alerts
        return await handle.list(), await handle.mutes(), await handle.unsent()

    found, mutes, unsent = ask(url, act)
    output = Output(as_json=as_json)
    if as_json:
        output.document(
            {"alerts": as_data(found), "mutes": as_data(mutes), "unsent": as_data(unsent)}
        )
        return
    if found:
        output.table(COLUMNS, [_row(one) for one in found])
    else:
        output.say("There are no alerts.")
    for mute in mutes:
        by = f" by {mute.by}" if mute.by else ""
        why = f": {mute.reason}" if mute.reason else ""
        output.say(
            f"Muted until {moment_text(mute.until)}{by}: {mute.rule} of queue {mute.queue}{why}",
            WARN,
        )
    for one in unsent:
        error = f": {one.error}" if one.error else ""
        tries = f" after {one.tries} tries" if one.tries else ""
        output.say(f"Not sent by {one.channel} yet{tries}, {one.title!r}{error}", BAD)


@alerts.command("mute")
@click.argument("rule", default="*")
@click.argument("queue", default="*")
@click.option("--for", "for_s", type=duration, required=True, metavar="TIME", help="So long: 2h.")
@click.option("--reason", metavar="TEXT", help="Shown by toril alerts list.")
@store_options
def mute(
    rule: str, queue: str, for_s: float, reason: str | None, url: str | None, as_json: bool
) -> None:
    """Tell nobody of RULE for QUEUE for a while. * stands for any characters; default: all.

    What is still raised when the time is over is told then.
    """
    made = ask(
        url, lambda app: app.alerts.mute(rule, queue, duration=for_s, by=who(), reason=reason or "")
    )
    Output(as_json=as_json).done(
        as_data(made), f"{rule} of queue {queue} is muted until {moment_text(made.until)}."
    )


@alerts.command("unmute")
@click.argument("rule", default="*")
@click.argument("queue", default="*")
@store_options
def unmute(rule: str, queue: str, url: str | None, as_json: bool) -> None:
    """End a mute. Give RULE and QUEUE as they were muted."""
    if not ask(url, lambda app: app.alerts.unmute(rule, queue)):
        raise RefusedError(
            f"{rule} of queue {queue} is not muted in these words: see toril alerts list", STATE
        )
    Output(as_json=as_json).done(
        {"rule": rule, "queue": queue, "muted": False}, f"{rule} of queue {queue} is told again."
    )


@alerts.command("test")
@click.argument("target", metavar="MODULE:APP")
@json_option
def test(target: str, as_json: bool) -> int:
    """Send a test by each channel of an app, and say what went wrong."""
    from toril.cli.target import load_app

    app = load_app(target)

    async def act(app: App) -> dict[str, str | None]:
        async with app:
            return await app.alerts.test()

    told = asyncio.run(act(app))
    output = Output(as_json=as_json)
    if as_json:
        output.document(
            {"channels": [{"name": name, "error": error} for name, error in told.items()]}
        )
    for name, error in told.items():
        output.say(
            [Cell(name, HEAD), ": ", Cell("sent", GOOD) if error is None else Cell(error, BAD)]
        )
    return ERROR if any(told.values()) else DONE


@alerts.command("watch")
@click.argument("target", metavar="MODULE:APP")
def watch(target: str) -> int:
    """Watch for the alerts of an app, and run no jobs. SIGTERM or Ctrl-C ends it.

    Workers watch by themselves; but when none is left, only such a process can tell.
    """
    from toril.cli.logs import set_up, warn_of_variables
    from toril.cli.target import load_app
    from toril.settings import Settings

    app = load_app(target)

    set_up("text", Settings.load().log_level, with_pid=False, quiet_jobs=True)
    warn_of_variables()

    async def act(app: App) -> None:
        async with app:
            running = asyncio.ensure_future(app.alerts.run())
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, running.cancel)
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(act(app))
    return DONE


def _row(one: AlertInfo) -> list[str]:
    told = "muted" if one.muted else "no" if one.told_at is None else moment_text(one.told_at)
    return [
        Cell(one.rule, HEAD),
        one.queue,
        Cell(one.state, STYLES.get(one.state, "")),
        moment_text(one.since),
        Cell(told, DIM if one.told_at is None else ""),
        one.text,
    ]
