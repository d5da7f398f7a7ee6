"""Adds rows, or changes those that are there, in one statement on either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from toril.core.checks import require
from toril.services.records.addresses import DatabaseKind

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Row = Mapping[str, Any]


def insert(
    kind: DatabaseKind, table: sa.Table, rows: Sequence[dict[str, Any]]
) -> sqlite.Insert | postgresql.Insert:
    """Return a statement that adds rows; what becomes of those that are there is yet to be said.

    Parameters:
        kind: Of the database.
        table: The table.
        rows: At least one, all with the same columns.
    """
    # SQLAlchemy keeps the SQL that it made for a statement of one row, but not for one of a list.
    values = rows[0] if len(rows) == 1 else rows
    # Imported here, as each takes a while and a program has one kind of database.
    if kind == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).values(values)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table).values(values)


def upsert(
    kind: DatabaseKind,
    table: sa.Table,
    rows: Row | Sequence[Row],
    *,
    key: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> sqlite.Insert | postgresql.Insert:
    """Return a statement that adds rows; one whose key is there already is changed.

    Parameters:
        kind: Of the database.
        table: The table.
        rows: One or several, all with the same columns. In several, no key twice.
        key: Columns with a unique constraint. Default: the primary key.
        keep: Columns that are not changed where the row is there, such as `created_at_ms`.

    Raises:
        InvalidOptionError: A column is not in the table, or there are no rows.
    """
    values, key = _checked(table, rows, key, keep)
    statement = insert(kind, table, values)
    changed = [name for name in values[0] if name not in {*key, *keep}]
    if not changed:
        return statement.on_conflict_do_nothing(index_elements=key)
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed}
    )


def insert_missing(
    kind: DatabaseKind, table: sa.Table, rows: Row | Sequence[Row], *, key: Sequence[str] = ()
) -> sqlite.Insert | postgresql.Insert:
    """Return a statement that adds the rows whose key is not there yet.

    With `.returning(...)` it gives those that were added. Parameters are those of `upsert`.
    """
    values, key = _checked(table, rows, key, ())
    statement = insert(kind, table, values)
    return statement.on_conflict_do_nothing(index_elements=key)


def _checked(
    table: sa.Table, rows: Row | Sequence[Row], key: Sequence[str], keep: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    values = [dict(rows)] if isinstance(rows, Mapping) else [dict(row) for row in rows]
    require(bool(values), "rows", rows, "at least one row")
    columns = list(table.c.keys())
    chosen = list(key) or [column.name for column in table.primary_key]
    for option, names in (("rows", list(values[0])), ("key", chosen), ("keep", list(keep))):
        for name in names:
            require(name in columns, option, name, f"columns of {table.name}: {', '.join(columns)}")
    first = set(values[0])
    same = all(set(row) == first for row in values)
    require(same, "rows", f"{len(values)} rows", "the same columns in each")
    require(first >= set(chosen), "rows", sorted(first), f"the key too: {', '.join(chosen)}")
    return values, chosen
