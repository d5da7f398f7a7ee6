"""`toril relay`: adds the jobs of an outbox to the store, and shows what waits or was refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from toril.cli.codes import DONE, STATE, RefusedError
from toril.cli.main import SuggestingGroup
from toril.cli.options import confirm, json_option, url_option, yes_option
from toril.cli.output import WARN, Column, Output, as_data, moment_text, plural
from toril.core.loggers import logger

if TYPE_CHECKING:
    from toril.app import App
    from toril.outbox.handle import OutboxQueue, RefusedRow
    from toril.outbox.relay import Relayed

T = TypeVar("T")

COLUMNS = (
    Column("QUEUE", cut=True),
    Column("WAITING", right=True),
    Column("REFUSED", right=True),
    Column("OLDEST"),
)
REFUSED = (
    Column("ROW"),
    Column("QUEUE", cut=True),
    Column("NAME", cut=True),
    Column("REFUSED"),
    Column("WHY", wrap=True),
)
log = logger("toril.cli")


def outbox_options(command: Any) -> Any:
    """Add the options that say where the outbox and the store are."""
    for option in (
        json_option,
        url_option,
        click.option(
            "--outbox", metavar="URL", help="The database with the outbox, such as"
            " postgresql+psycopg://host/shop. Default: the app's, else TORIL_OUTBOX.",
        ),
        click.option(
            "--app", "target", metavar="MODULE:APP", help="Take the outbox and the store of an app."
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@outbox_options
@click.option("--drain", is_flag=True, help="End once nothing is left that can be relayed now.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]),
    help="Default: TORIL_LOG_LEVEL, else info.",
)  # fmt: skip
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.pass_context
def relay(
    ctx: click.Context,
    target: str | None,
    outbox: str | None,
    url: str | None,
    as_json: bool,
    drain: bool,
    log_level: str | None,
    log_format: Literal["text", "json"],
) -> int:
    """Add the jobs of an outbox to the store, as each worker of an app with an outbox does.

    It needs no tasks: only where the outbox is, and where jobs live. Several may run at once. With
    --json it prints an object for each batch.

    SIGTERM or Ctrl-C ends it at once: rows that it had not relayed stay where they are.
    """
    if ctx.invoked_subcommand is not None:
        return DONE
    from toril.cli.logs import set_up, warn_of_variables
    from toril.cli.signals import ignore_handled
    from toril.settings import Settings

    set_up(log_format, log_level or Settings.load().log_level, with_pid=False)
    warn_of_variables()
    app = _app(target, outbox, url)
    output = Output(as_json=as_json)
    try:
        return asyncio.run(_run(app, output, drain=drain))
    finally:
        ignore_handled()


@relay.command("status")
@outbox_options
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def status(
    target: str | None, outbox: str | None, url: str | None, as_json: bool, limit: int
) -> None:
    """Show what waits in the outbox, and which rows the store refuses for good."""

    async def act(app: App) -> tuple[list[OutboxQueue], list[RefusedRow]]:
        return await app.outbox.status(), await app.outbox.refused(limit=limit)

    queues, refused = _ask(target, outbox, url, act)
    output = Output(as_json=as_json)
    if as_json:
        output.document({"queues": as_data(queues), "refused": as_data(refused)})
        return
    if not queues:
        output.say("The outbox is empty.")
        return
    output.table(
        COLUMNS,
        [
            [
                one.queue,
                str(one.waiting),
                str(one.refused),
                "" if one.oldest_waiting_s is None else f"{one.oldest_waiting_s:.1f} s",
            ]
            for one in queues
        ],
    )
    if refused:
        output.say()
        output.table(
            REFUSED,
            [
                [one.row_id, one.queue, one.name, moment_text(one.refused_at), one.reason]
                for one in refused
            ],
        )
        output.say("toril relay retry ROW tries again, toril relay remove ROW gives up.", WARN)


@relay.command("retry")
@click.argument("rows", metavar="ROW...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that were refused.")
@outbox_options
def retry(
    rows: tuple[str, ...],
    every: bool,
    target: str | None,
    outbox: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Have refused ROWs relayed again, such as once a store takes what it did not."""
    which = _which(rows, every)
    many = _ask(target, outbox, url, lambda app: app.outbox.retry(which))
    _say_done(many, which, "retried", "relayed again", as_json)


@relay.command("remove")
@click.argument("rows", metavar="ROW...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All that were refused.")
@yes_option
@outbox_options
def remove(
    rows: tuple[str, ...],
    every: bool,
    yes: bool,
    target: str | None,
    outbox: str | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Remove refused ROWs: their jobs will never run."""
    which = _which(rows, every)
    what = "all refused rows" if which is None else plural(len(which), "refused row")
    confirm(f"Remove {what} of the outbox for good?", yes=yes)
    many = _ask(target, outbox, url, lambda app: app.outbox.remove(which))
    _say_done(many, which, "removed", "removed", as_json)


async def _run(app: App, output: Output, *, drain: bool) -> int:
    from toril.cli.signals import handle_on_loop

    relayed = refused = 0

    def told(done: Relayed) -> None:
        nonlocal relayed, refused
        relayed += done.jobs
        refused += done.refused
        if output.as_json:
            output.line({"queue": done.queue, "relayed": done.jobs, "refused": done.refused})

    async with app:
        outbox = app.outbox
        await outbox.status()  # what cannot be used is told now, with its exit code
        if drain:
            working: asyncio.Future[Any] = asyncio.ensure_future(outbox.drain(told))
        else:
            working = asyncio.ensure_future(outbox.relay(told))

        def stop() -> None:
            working.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            handle_on_loop(number, stop)
        if not drain:
            log.info("relaying the outbox in %s", outbox.shown)
        with suppress(asyncio.CancelledError):
            await working
    text = f"Relayed {plural(relayed, 'job')}."
    output.say(text if not refused else f"{text} Refused {refused}: toril relay status.", "")
    return DONE


def _ask(
    target: str | None,
    outbox: str | None,
    url: str | None,
    act: Callable[[App], Awaitable[T]],
) -> T:
    app = _app(target, outbox, url)

    async def whole() -> T:
        async with app:
            return await act(app)

    return asyncio.run(whole())


def _app(target: str | None, outbox: str | None, url: str | None) -> App:
    """Return the app that knows the outbox and the store."""
    if target is None:
        from toril.app import App

        return App(url, outbox=outbox)
    from toril.cli.target import load_app

    app = load_app(target)
    if url is not None:
        app.close_sync()  # in case the module has used it already, where it was
        app.url = url
    if outbox is not None:
        app.use_outbox(outbox)
    return app


def _which(rows: tuple[str, ...], every: bool) -> list[str] | None:
    if every == bool(rows):
        raise click.UsageError("Give rows, as toril relay status shows them, or --all.")
    return None if every else list(rows)


def _say_done(many: int, which: list[str] | None, word: str, sentence: str, as_json: bool) -> None:
    if which is not None and many < len(set(which)):
        raise RefusedError(
            f"{len(set(which)) - many} of these rows are not refused ones of the outbox; {many}"
            f" {'is' if many == 1 else 'are'} {sentence}: see toril relay status",
            STATE,
        )
    verb = "is" if many == 1 else "are"
    Output(as_json=as_json).done({word: many}, f"{plural(many, 'row')} {verb} {sentence}.")
