"""`toril keys`: keys by which programs use a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import STATE, RefusedError
from toril.cli.main import SuggestingGroup
from toril.cli.options import confirm, duration, store_options, yes_option
from toril.cli.output import BAD, HEAD, WARN, Cell, Column, Output, as_data, moment_text, write
from toril.web.access.keys import KeyInfo, Keys
from toril.web.access.port import Role

COLUMNS = (
    Column("NAME"),
    Column("ROLE"),
    Column("QUEUES", cut=True),
    Column("PAYLOADS"),
    Column("ADDED"),
    Column("EXPIRES"),
)

ONLY_QUEUE = "Only this queue; * stands for any characters. May be given several times."


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def keys(ctx: click.Context) -> None:
    """List, add and remove keys: what programs send to a server to be known.

    `Authorization: Bearer KEY`. Roles: viewer sees, submitter also adds jobs, operator also changes
    what is there, admin does everything.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def grant_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what says what a key or a user may do."""
    for option in (
        click.option(
            "--payloads", is_flag=True, help="May see payloads, results, errors and log lines."
        ),
        click.option(
            "--queue",
            "queues",
            multiple=True,
            metavar="NAME",
            help=ONLY_QUEUE,
        ),
        click.option("--role", type=click.Choice(list(map(str, Role))), required=True),
    ):
        command = option(command)
    return command


def keys_of(app: App) -> Keys:
    """Return the keys of a store, or of the server that the command asks."""
    there: Keys | None = getattr(app, "keys", None)
    return Keys(app) if there is None else there


@keys.command("list")
@store_options
def list_keys(url: str | None, as_json: bool) -> None:
    """List keys. None of them can be shown again."""
    found = ask(url, lambda app: keys_of(app).list())
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(found))
    elif found:
        output.table(COLUMNS, [_row(key) for key in found])
    else:
        output.say("There are no keys. toril keys add NAME --role ROLE makes one.")


@keys.command("add")
@click.argument("name")
@grant_options
@click.option("--expires", type=duration, metavar="TIME", help="It ends after so long: 90d, 12h.")
@store_options
def add(
    name: str,
    role: str,
    queues: tuple[str, ...],
    payloads: bool,
    expires: float | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Make a key and print it. It is not kept, so that it cannot be printed again.

    NAME is what the audit log calls it.
    """
    key = ask(
        url,
        lambda app: keys_of(app).add(
            name, role=role, queues=queues or None, payloads=payloads, expires=expires
        ),
        create=True,
    )
    output = Output(as_json=as_json)
    if as_json:
        output.document({"name": name, "key": key})
        return
    write(f"Key {name!r}, {role}. This is its only showing:", err=True)
    output.say(key)


@keys.command("remove")
@click.argument("name")
@yes_option
@store_options
def remove(name: str, yes: bool, url: str | None, as_json: bool) -> None:
    """Remove the key NAME: whoever has it is refused from now on."""
    confirm(f"Remove key {name!r}? Programs that use it are refused then.", yes=yes)
    if not ask(url, lambda app: keys_of(app).remove(name)):
        raise RefusedError(f"no key {name!r}: see toril keys list", STATE)
    Output(as_json=as_json).done({"name": name, "removed": True}, f"Key {name!r} was removed.")


def queues_text(queues: tuple[str, ...] | None) -> str:
    """Return to which queues something is limited."""
    return "all" if queues is None else ", ".join(queues)


def _row(key: KeyInfo) -> list[str]:
    expires = "never" if key.expires_at is None else moment_text(key.expires_at)
    return [
        Cell(key.name, HEAD),
        Cell(key.role, WARN if key.role == Role.ADMIN else ""),
        queues_text(key.queues),
        "yes" if key.payloads else "no",
        moment_text(key.created_at),
        Cell("expired", BAD) if key.expired else expires,
    ]
