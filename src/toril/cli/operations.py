"""`toril operations`: what is done to many jobs, and how far it is."""

from __future__ import annotations

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import DONE, ERROR, STATE
from toril.cli.main import SuggestingGroup
from toril.cli.operation_words import ended, far
from toril.cli.options import store_options
from toril.cli.output import (
    BAD,
    DIM,
    GOOD,
    HEAD,
    Cell,
    Column,
    Counter,
    Output,
    ago,
    as_data,
    moment_text,
    note,
    plural,
    write,
)
from toril.engine.bulk.info import OperationInfo, OperationUndone

COLUMNS = (
    Column("ID"),
    Column("ACTION"),
    Column("STATE"),
    Column("DONE", right=True),
    Column("LEFT", right=True),
    Column("BEGAN", right=True),
    Column("BY", cut=True),
    Column("QUERY", cut=True),
)
STYLES = {"running": GOOD, "failed": BAD, "done": DIM, "cancelled": DIM, "undone": DIM}


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def operations(ctx: click.Context) -> None:
    """List, show, run, cancel and undo operations on many jobs, which toril bulk begins."""
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


@operations.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@store_options
def list_operations(limit: int, url: str | None, as_json: bool) -> None:
    """List operations, newest first. They are known for a week."""
    output = Output(as_json=as_json)
    found = ask(url, lambda app: app.bulk.list(limit=limit))
    if as_json:
        output.document(as_data(found))
    elif found:
        output.table(COLUMNS, [_row(info) for info in found])
    else:
        output.say("There are no operations.")


@operations.command("show")
@click.argument("operation_id", metavar="ID")
@store_options
def show(operation_id: str, url: str | None, as_json: bool) -> None:
    """Show what the operation ID is to do, and how far it is."""
    info = ask(url, lambda app: app.bulk.operation(operation_id).info())
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(info))
        return
    state = Cell(info.state.upper(), STYLES[info.state])
    output.say([Cell(f"{info.action}  ", HEAD), f"{info.id}  ", state])
    facts = [
        ("query", info.query if info.query is not None else "(by id)"),
        ("queues", ", ".join(info.queues)),
        *((name, str(value)) for name, value in info.arguments.items()),
        ("by", info.actor if info.reason is None else f"{info.actor}: {info.reason}"),
        ("began", moment_text(info.created_at)),
        ("ended", moment_text(info.ended_at)),
        ("driven", "yes" if info.driven else "no" if info.state != "running" else "not now"),
        ("looked at", f"{info.looked_at:,} of at most {info.at_most:,}"),
    ]
    for label, text in facts:
        output.say(f"{label:<16}{text}")
    output.say(ended(info))


@operations.command("run")
@click.argument("operation_id", metavar="ID")
@store_options
def run(operation_id: str, url: str | None, as_json: bool) -> int:
    """Drive the operation ID here, or wait while another process does."""

    async def act(app: App) -> OperationInfo:
        return await app.bulk.operation(operation_id).run(progress=lambda info: note(far(info)))

    try:
        info = ask(url, act)
    finally:
        note("")
    Output(as_json=as_json).done(as_data(info), ended(info))
    return ERROR if info.state == "failed" else DONE


@operations.command("cancel")
@click.argument("operation_id", metavar="ID")
@store_options
def cancel(operation_id: str, url: str | None, as_json: bool) -> int:
    """Have the operation ID end where it stands; what it has done stays.

    Ends with 4 if it had ended already.
    """
    was_running = ask(url, lambda app: app.bulk.operation(operation_id).cancel())
    Output(as_json=as_json).done(
        {"id": operation_id, "cancelled": was_running},
        f"Operation {operation_id} ends where it stands."
        if was_running
        else f"Operation {operation_id} had ended already.",
    )
    return DONE if was_running else STATE


@operations.command("undo")
@click.argument("operation_id", metavar="ID")
@store_options
def undo(operation_id: str, url: str | None, as_json: bool) -> int:
    """Put back the jobs that the operation ID has removed, whole, under their ids.

    Ends with 4 if none is kept any more.
    """
    counter = Counter("put back")

    async def act(app: App) -> OperationUndone:
        return await app.bulk.operation(operation_id).undo(progress=counter)

    try:
        undone = ask(url, act)
    finally:
        counter.end()
    words = f"{plural(undone.restored, 'job')} put back"
    if undone.taken:
        words += f"; {plural(undone.taken, 'id')} had been given to other jobs"
    if not undone.restored and not undone.taken:
        words = "Nothing is kept of that operation any more"
    Output(as_json=as_json).done({"id": operation_id, **as_data(undone)}, f"{words}.")
    return DONE if undone.restored else STATE


def _row(info: OperationInfo) -> list[str]:
    return [
        info.id,
        info.action,
        Cell(info.state, STYLES[info.state]),
        f"{info.done:,}",
        f"{info.refused:,}",
        ago(info.created_at),
        info.actor,
        info.query if info.query is not None else "(by id)",
    ]
