"""`toril users`: people who sign in to a server with a password."""

from __future__ import annotations

import sys

import click
from msgspec import UNSET

from toril.app import App
from toril.cli.access import ask
from toril.cli.codes import STATE, RefusedError
from toril.cli.keys import ONLY_QUEUE, grant_options, queues_text
from toril.cli.main import SuggestingGroup
from toril.cli.options import confirm, store_options, yes_option
from toril.cli.output import HEAD, WARN, Cell, Column, Output, as_data, moment_text, write
from toril.web.access.passwords import check_password
from toril.web.access.port import Role
from toril.web.access.users import UserInfo, Users

COLUMNS = (
    Column("NAME"),
    Column("ROLE"),
    Column("QUEUES", cut=True),
    Column("PAYLOADS"),
    Column("ADDED"),
)


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def users(ctx: click.Context) -> None:
    """List, add, change and remove users, and give them other passwords.

    A password is typed in, or is the first line of stdin; it is never an argument, which others on
    the machine could read.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def users_of(app: App) -> Users:
    """Return the users of a store, or of the server that the command asks."""
    there: Users | None = getattr(app, "users", None)
    return Users(app) if there is None else there


@users.command("list")
@store_options
def list_users(url: str | None, as_json: bool) -> None:
    """List users."""
    found = ask(url, lambda app: users_of(app).list())
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(found))
    elif found:
        output.table(COLUMNS, [_row(user) for user in found])
    else:
        output.say("There are no users. toril users add NAME --role ROLE adds one.")


@users.command("add")
@click.argument("name")
@grant_options
@store_options
def add(
    name: str,
    role: str,
    queues: tuple[str, ...],
    payloads: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """Add the user NAME, whose password is asked for or read from stdin."""
    secret = _password()
    ask(
        url,
        lambda app: users_of(app).add(
            name, secret, role=role, queues=queues or None, payloads=payloads
        ),
        create=True,
    )
    Output(as_json=as_json).done({"name": name, "role": role}, f"User {name!r} was added: {role}.")


@users.command("change")
@click.argument("name")
@click.option("--role", type=click.Choice(list(map(str, Role))))
@click.option("--queue", "queues", multiple=True, metavar="NAME", help=ONLY_QUEUE)
@click.option("--all-queues", is_flag=True, help="All queues.")
@click.option(
    "--payloads/--no-payloads",
    default=None,
    help="May see payloads, results, errors and log lines, or not.",
)
@store_options
def change(
    name: str,
    role: str | None,
    queues: tuple[str, ...],
    all_queues: bool,
    payloads: bool | None,
    url: str | None,
    as_json: bool,
) -> None:
    """Give the user NAME other rights. What is not named stays.

    Browsers of the user that are signed in have them with their next request. The last user who is
    an administrator for all queues stays one.
    """
    if queues and all_queues:
        raise click.UsageError("Give --queue or --all-queues, not both.")
    if role is None and not queues and not all_queues and payloads is None:
        raise click.UsageError(
            "Nothing to change: give --role, --queue, --all-queues, --payloads or --no-payloads."
        )
    limited = None if all_queues else queues or UNSET
    changed = ask(
        url,
        lambda app: users_of(app).change(
            name,
            role=UNSET if role is None else role,
            queues=limited,
            payloads=UNSET if payloads is None else payloads,
        ),
    )
    if changed is None:
        raise RefusedError(f"no user {name!r}: see toril users list", STATE)
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(changed))
        return
    sees = "sees payloads" if changed.payloads else "sees no payloads"
    queues_now = queues_text(changed.queues)
    output.say(f"User {name!r} is changed: {changed.role}, queues: {queues_now}, {sees}.")


@users.command("password")
@click.argument("name")
@store_options
def password(name: str, url: str | None, as_json: bool) -> None:
    """Give the user NAME another password. All sessions of it end."""
    secret = _password()
    if not ask(url, lambda app: users_of(app).set_password(name, secret)):
        raise RefusedError(f"no user {name!r}: see toril users list", STATE)
    Output(as_json=as_json).done(
        {"name": name, "changed": True}, f"User {name!r} has another password; its sessions ended."
    )


@users.command("remove")
@click.argument("name")
@click.option("--last", is_flag=True, help="Also the last one who is an administrator.")
@yes_option
@store_options
def remove(name: str, last: bool, yes: bool, url: str | None, as_json: bool) -> None:
    """Remove the user NAME. All sessions of it end."""
    confirm(f"Remove user {name!r}?", yes=yes)
    if not ask(url, lambda app: users_of(app).remove(name, last=last)):
        raise RefusedError(f"no user {name!r}: see toril users list", STATE)
    Output(as_json=as_json).done({"name": name, "removed": True}, f"User {name!r} was removed.")


def _password() -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        return check_password(
            click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        )
    line = "" if sys.stdin is None else sys.stdin.readline()
    if not line.rstrip("\r\n"):
        raise click.UsageError("No password: type it on a terminal, or give it as a line of stdin.")
    return check_password(line.rstrip("\r\n"))


def _row(user: UserInfo) -> list[str]:
    return [
        Cell(user.name, HEAD),
        Cell(user.role, WARN if user.role == Role.ADMIN else ""),
        queues_text(user.queues),
        "yes" if user.payloads else "no",
        moment_text(user.created_at),
    ]
