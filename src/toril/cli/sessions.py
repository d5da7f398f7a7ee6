"""`toril sessions`: browsers that are signed in to a server."""

from __future__ import annotations

from typing import Any

import click

from toril.app import App
from toril.cli.access import ask, server_of_command
from toril.cli.codes import STATE, RefusedError
from toril.cli.main import SuggestingGroup
from toril.cli.options import confirm, store_options, yes_option
from toril.cli.output import HEAD, Cell, Column, Output, as_data, moment_text, write
from toril.web.access.session_list import SessionInfo, SessionList

COLUMNS = (
    Column("ID"),
    Column("WHO"),
    Column("BROWSER", cut=True),
    Column("FROM"),
    Column("SINCE"),
    Column("LAST SEEN"),
    Column("ENDS"),
)


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def sessions(ctx: click.Context) -> None:
    """List browsers that are signed in to a server, and sign them out."""
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def sessions_of(app: App) -> SessionList:
    """Return the sessions of a store, or of the server that the command asks."""
    there: SessionList | None = getattr(app, "sessions", None)
    return SessionList(app) if there is None else there


@sessions.command("list")
@click.option("--user", metavar="NAME", help="Only those of this user.")
@click.option("--key", metavar="NAME", help="Only those that were begun with this key.")
@click.option("--mine", is_flag=True, help="With --server: only those of the key that asks.")
@store_options
def list_sessions(
    user: str | None, key: str | None, mine: bool, url: str | None, as_json: bool
) -> None:
    """List sessions, the one seen last first. Without an option: everybody's."""
    if sum((user is not None, key is not None, mine)) > 1:
        raise click.UsageError("Give one of --user, --key and --mine.")
    if mine and server_of_command(url) is None:  # whoever opens a store has no sessions there
        raise click.UsageError("--mine asks a server: give --server URL, and its key in TORIL_KEY.")
    kind = "user" if user is not None else "key" if key is not None else None
    of: dict[str, Any] = {"mine": True} if mine else {}
    found = ask(url, lambda app: sessions_of(app).list(kind, user or key, **of))
    output = Output(as_json=as_json)
    if as_json:
        output.document(as_data(found))
    elif found:
        output.table(COLUMNS, [_row(one) for one in found])
    else:
        output.say("Nobody is signed in.")


@sessions.command("end")
@click.argument("session_id", metavar="[ID]", required=False)
@click.option("--user", metavar="NAME", help="All those of this user.")
@click.option("--key", metavar="NAME", help="All those that were begun with this key.")
@yes_option
@store_options
def end(
    session_id: str | None,
    user: str | None,
    key: str | None,
    yes: bool,
    url: str | None,
    as_json: bool,
) -> None:
    """End the session ID, or all of a user or a key. The next request of each is refused."""
    if sum(given is not None for given in (session_id, user, key)) != 1:
        raise click.UsageError("Give the ID of a session, or --user NAME, or --key NAME.")
    if session_id is not None:
        one = session_id
        confirm(f"End session {one!r}?", yes=yes)
        if not ask(url, lambda app: sessions_of(app).end(one)):
            raise RefusedError(f"no session {one!r}: see toril sessions list", STATE)
        Output(as_json=as_json).done({"id": one, "ended": 1}, f"Session {one!r} has ended.")
        return
    kind, name = ("user", user) if user is not None else ("key", key or "")
    confirm(f"End all sessions of {kind} {name!r}?", yes=yes)
    ended = ask(url, lambda app: sessions_of(app).end_all(kind, name))
    if ended is None:
        raise RefusedError(f"no {kind} {name!r}: see toril {kind}s list", STATE)
    Output(as_json=as_json).done(
        {"kind": kind, "name": name, "ended": ended},
        f"{ended} session{'' if ended == 1 else 's'} of {kind} {name!r} ended.",
    )


def _row(one: SessionInfo) -> list[str]:
    return [
        Cell(one.id, HEAD),
        f"{one.kind}:{one.name}",
        one.browser or "?",
        one.place or "?",
        "?" if one.begun_at is None else moment_text(one.begun_at),
        "?" if one.seen_at is None else moment_text(one.seen_at),
        moment_text(one.expires_at),
    ]
