"""`toril bulk`: retry, remove, promote, cancel, move and export what a search finds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import ERROR
from toril.cli.job_words import COLUMNS, row
from toril.cli.main import SuggestingGroup
from toril.cli.operation_words import ended, far
from toril.cli.options import NONE, confirm, duration, rate, store_options, yes_option
from toril.cli.output import DIM, Column, Counter, Output, as_data, note, plural, write
from toril.engine.bulk.handle import BulkOperation
from toril.engine.bulk.info import OperationInfo, OperationPreview
from toril.engine.bulk.wish import Action

Begin = Callable[[App], Awaitable[BulkOperation]]


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def bulk(ctx: click.Context) -> None:
    """Change all jobs that a search finds: toril bulk retry 'error~timeout since:1h'.

    What may be searched for: toril search --help. An operation is stored before anything is
    changed. After Ctrl-C, or a kill, the workers of the store go on with it: toril operations.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def _per_second(value: str) -> float | None:
    """Return the jobs a second of `50/s` or `100/m`; None for `none`.

    Raises:
        BadParameter: It is no rate.
    """
    found = rate(value)
    if isinstance(found, str):
        return None
    limit, window_s = found
    return limit / window_s


def _options(command: Any) -> Any:
    for option in (
        store_options,
        yes_option,
        click.option(
            "--detach", is_flag=True, help="Only begin it: a worker of the store drives it."
        ),
        click.option(
            "--rate",
            "max_per_s",
            type=_per_second,
            default=NONE,
            metavar="RATE",
            help="At most so many, such as 50/s.",
        ),
        click.option("--dry-run", is_flag=True, help="Only say how many, and show ten of them."),
        click.argument("query", nargs=-1, required=True),
    ):
        command = option(command)
    return command


@bulk.command("retry")
@_options
@click.option("--keep-attempts", is_flag=True, help="Do not count their attempts anew.")
def retry(query: tuple[str, ...], keep_attempts: bool, **options: Any) -> int:
    """Put finished jobs back in line: failed ones, unless QUERY names a state."""
    text = " ".join(query)

    def begin(app: App) -> Awaitable[BulkOperation]:
        return app.bulk.retry(
            text, reset_attempts=not keep_attempts, max_per_s=options["max_per_s"]
        )

    return _run("retry", text, begin, **options)


@bulk.command("remove")
@_options
@click.option(
    "--keep",
    "keep_s",
    type=duration,
    default="10m",
    show_default=True,
    metavar="TIME",
    help="Undo is possible for so long; 0: not at all.",
)
def remove(query: tuple[str, ...], keep_s: float, **options: Any) -> int:
    """Remove jobs that no worker holds; for ten minutes they can be put back."""
    text = " ".join(query)

    def begin(app: App) -> Awaitable[BulkOperation]:
        return app.bulk.remove(text, keep=keep_s, max_per_s=options["max_per_s"])

    return _run("remove", text, begin, asks=True, **options)


@bulk.command("promote")
@_options
def promote(query: tuple[str, ...], **options: Any) -> int:
    """Make delayed jobs ready now."""
    text = " ".join(query)

    def begin(app: App) -> Awaitable[BulkOperation]:
        return app.bulk.promote(text, max_per_s=options["max_per_s"])

    return _run("promote", text, begin, **options)


@bulk.command("cancel")
@_options
@click.option("--reason", default="cancelled", show_default=True, help="Kept with the jobs.")
def cancel(query: tuple[str, ...], reason: str, **options: Any) -> int:
    """Stop jobs for good: at once if they wait, and wherever they run."""
    text = " ".join(query)

    def begin(app: App) -> Awaitable[BulkOperation]:
        return app.bulk.cancel(text, reason=reason, max_per_s=options["max_per_s"])

    return _run("cancel", text, begin, asks=True, **options)


@bulk.command("move")
@_options
@click.option("--to", "target", required=True, metavar="QUEUE", help="The other queue.")
def move(query: tuple[str, ...], target: str, **options: Any) -> int:
    """Move jobs to another queue: those that have not begun, unless QUERY names a state."""
    text = " ".join(query)

    def begin(app: App) -> Awaitable[BulkOperation]:
        return app.bulk.move(text, to=target, max_per_s=options["max_per_s"])

    return _run("move", text, begin, asks=True, **options)


@bulk.command("export")
@click.argument("query", nargs=-1, required=True)
@click.option(
    "--to", "path", required=True, type=click.Path(dir_okay=False), help="The file to write."
)
@click.option(
    "--rate",
    "max_per_s",
    type=_per_second,
    default=NONE,
    metavar="RATE",
    help="At most so many, such as 500/s.",
)
@store_options
def export(
    query: tuple[str, ...], path: str, max_per_s: float | None, url: str | None, as_json: bool
) -> None:
    """Write jobs to a file, one JSON object a line. The file is there once it is whole."""
    counter = Counter("written")

    async def act(app: App) -> int:
        return await app.bulk.export(" ".join(query), path, max_per_s=max_per_s, progress=counter)

    try:
        many = ask(url, act)
    finally:
        counter.end()
    Output(as_json=as_json).done(
        {"exported": many, "path": path}, f"{plural(many, 'job')} written to {path}."
    )


def _run(
    action: Action,
    query: str,
    begin: Begin,
    *,
    dry_run: bool,
    max_per_s: float | None,
    detach: bool,
    yes: bool,
    url: str | None,
    as_json: bool,
    asks: bool = False,
) -> int:
    """Say what would be done, or do it and say how it went."""
    output = Output(as_json=as_json)
    if dry_run or (asks and not yes):
        preview = ask(url, lambda app: app.bulk.preview(action, query))
        if dry_run:
            _say_preview(output, preview)
            return 0
        most = "" if preview.exact else "at least "
        confirm(f"{action.capitalize()} {most}{plural(preview.count, 'job')}?", yes=yes)

    async def act(app: App) -> OperationInfo:
        operation = await begin(app)
        if detach:
            return await operation.info()
        began.append(operation.id)
        return await operation.run(progress=lambda info: note(far(info)))

    began: list[str] = []
    try:
        info = ask(url, act)
    except (KeyboardInterrupt, asyncio.CancelledError):
        note("")
        if began:
            write(
                f"It goes on with the store's workers: toril operations show {began[0]}; to end it:"
                f" toril operations cancel {began[0]}",
                err=True,
            )
        raise
    note("")
    output.done(as_data(info), ended(info))
    return ERROR if info.state == "failed" else 0


def _say_preview(output: Output, preview: OperationPreview) -> None:
    if output.as_json:
        output.document(as_data(preview))
        return
    least = "" if preview.exact else "at least "
    output.say(f"{preview.action}: {least}{plural(preview.count, 'job')}, by {preview.query}")
    if not preview.exact:
        output.say(f"There are {plural(preview.at_most, 'job')} to look at.", DIM)
    if preview.samples:
        columns = (Column("QUEUE", cut=True), *COLUMNS)
        output.table(columns, [[info.queue, *row(info)] for info in preview.samples])
