"""Reads a table of a user's database row by row, however long it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchTableError

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError
from toril.services.records.records import Records

PART_ROWS = 2000
"""How many rows are held at a time."""
Comparison = tuple[str, Literal["eq", "gte", "lte", "in"], Any]
"""A column, how it is compared, and with what."""


class StoredTable:
    """A table or view, of which some columns may be read. Goes to a child process by pickle.

    Parameters:
        records: The database.
        name: The table's name; `schema.table` on PostgreSQL.
        columns: What may be read, in this order; a mapping gives each its name outside. Columns
            that are not named here cannot be reached.
    """

    def __init__(
        self, records: Records, name: str, columns: Sequence[str] | Mapping[str, str]
    ) -> None:
        self._records = records
        self._name = name
        self._columns = (
            dict(columns) if isinstance(columns, Mapping) else {one: one for one in columns}
        )
        self._table: sa.Table | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return StoredTable, (self._records, self._name, self._columns)

    def types(self) -> dict[str, type]:
        """Return each column's name outside, and its type in Python, as the database says.

        Raises:
            InvalidOptionError: The database has no such table or column.
        """
        table = self._reflected()
        return {outside: _type_of(table.c[column]) for outside, column in self._columns.items()}

    @contextmanager
    def select(
        self, columns: Sequence[str], comparisons: Sequence[Comparison]
    ) -> Iterator[tuple[int, Iterator[Sequence[sa.Row[Any]]]]]:
        """Give the number of rows and the rows, some at a time, all as they are at one moment.

        They come in the order of the primary key; without one, of all columns.

        Parameters:
            columns: Which, by their names outside.
            comparisons: What has to hold of a row, all of it.
        """
        table = self._reflected()
        found = [table.c[self._columns[name]] for name in columns]
        holds = [_holds(table.c[self._columns[name]], how, what) for name, how, what in comparisons]
        order = list(table.primary_key.columns) or [
            table.c[column] for column in self._columns.values()
        ]
        engine = self._records.plain_engine
        if self._records.kind == "postgresql":  # one moment for both questions
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with engine.connect() as connection:
            total = connection.scalar(sa.select(sa.func.count()).select_from(table).where(*holds))
            query = sa.select(*found).where(*holds).order_by(*order)
            streamed = connection.execution_options(yield_per=PART_ROWS).execute(query)
            try:
                yield int(total or 0), streamed.partitions()
            finally:
                streamed.close()

    def _reflected(self) -> sa.Table:
        if self._table is None:
            schema, _, name = self._name.rpartition(".")
            try:
                table = sa.Table(
                    name,
                    sa.MetaData(),
                    schema=schema or None,
                    autoload_with=self._records.plain_engine,
                    resolve_fks=False,
                )
            except NoSuchTableError:
                reason = f"table={self._name!r}: {self._records!r} has no such table"
                raise InvalidOptionError(reason) from None
            for column in self._columns.values():
                if column not in table.c:
                    reason = unknown("column", column, [one.name for one in table.c])
                    raise InvalidOptionError(f"table {self._name!r}: {reason}")
            self._table = table
        return self._table


def _type_of(column: sa.Column[Any]) -> type:
    try:
        return column.type.python_type
    except NotImplementedError:
        return object


def _holds(column: sa.Column[Any], how: str, asked: Any) -> sa.ColumnElement[bool]:
    value = _stored(column, asked)
    if how == "eq":
        return column.is_(None) if value is None else column == value
    if how == "gte":
        return cast("sa.ColumnElement[bool]", column >= value)
    if how == "lte":
        return cast("sa.ColumnElement[bool]", column <= value)
    return column.in_(value)


def _stored(column: sa.Column[Any], value: Any) -> Any:
    """Return a value as the column has it: a moment without a zone is in UTC."""
    if isinstance(value, tuple):
        return tuple(_stored(column, one) for one in value)
    if isinstance(value, datetime) and not getattr(column.type, "timezone", False):
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
