"""`toril records`: the tables that tasks of the library keep in a database of yours."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from toril.cli.main import SuggestingGroup
from toril.cli.options import json_option
from toril.cli.output import GOOD, WARN, Cell, Column, Output, plural, write

if TYPE_CHECKING:
    from toril.services.records.families import TableFamily
    from toril.services.records.records import Records

COLUMNS = (Column("FAMILY"), Column("VERSION"), Column("NEWEST"), Column("STATE"))


@click.group(cls=SuggestingGroup, invoke_without_command=True)
@click.pass_context
def records(ctx: click.Context) -> None:
    """Look at and migrate the tables that tasks of the library keep in a database of yours.

    The database is that of DATABASE_URL, else records.db in this folder. Tables come in families,
    each with versions of its own: analytics, mail, media, notices, push, referrals, rules, totals,
    and MODULE:ATTRIBUTE for a family of your app's.
    """
    if ctx.invoked_subcommand is None:
        write(ctx.get_help())


def _database(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option(
        "--database",
        "url",
        metavar="URL",
        help="sqlite:///FILE or postgresql://…; default: DATABASE_URL, else sqlite:///records.db.",
    )(command)
    return click.argument("names", metavar="[FAMILY]...", nargs=-1)(command)


@records.command("status")
@_database
@json_option
def status(names: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Show the versions of tables. Default: of all families that Toril brings."""
    from toril.services.records.operating import states

    database = _opened(url)
    found = states(database, _families(names))
    output = Output(as_json=as_json)
    if as_json:
        output.document([dataclasses.asdict(one) for one in found])
        return
    rows = [
        (
            one.family,
            one.version or "-",
            one.newest,
            Cell("current", GOOD) if one.current else Cell("to migrate", WARN),
        )
        for one in found
    ]
    output.table(COLUMNS, rows)
    if database.is_missing:
        output.say(f"{database.file} is not there yet: toril records migrate makes it.", WARN)


@records.command("migrate")
@_database
@json_option
def migrate(names: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Make the tables of each FAMILY, or bring them to their newest version.

    Default: of all families that Toril brings. Each family is one transaction, and what is there
    stays. Processes that use the tables can go on meanwhile.
    """
    from toril.services.records.operating import bring_up_to_date

    database = _opened(url)
    changed = [family.name for family in _families(names) if bring_up_to_date(database, family)]
    sentence = "All tables are current."
    if changed:
        sentence = f"{plural(len(changed), 'family', 'families')} migrated: {', '.join(changed)}."
    Output(as_json=as_json).done({"migrated": changed}, sentence)


@records.command("sql")
@_database
@json_option
def sql(names: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Print the migrations of each FAMILY as SQL: to read, or to run on an empty database."""
    from toril.services.records.operating import sql_of

    database, families = _opened(url), _families(names)
    if as_json:
        found = [{"family": one.name, "sql": sql_of(database, [one])} for one in families]
        Output(as_json=True).document(found)
        return
    write(sql_of(database, families), end="")


def _opened(url: str | None) -> Records:
    from toril.services.records.records import Records

    if url is not None:
        return Records(url)
    return Records.from_environment(os.environ)


def _families(names: tuple[str, ...]) -> list[TableFamily]:
    from toril.services.records.known import KNOWN, family_of

    return [family_of(name) for name in dict.fromkeys(names or KNOWN)]
