"""Tables of a database as sources of exports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from toril.library.exports.sources import Rows, Wanted

if TYPE_CHECKING:  # SQLAlchemy is loaded where an export runs
    from toril.services.records.records import Records


class TableSource:
    """A table or view of a database, SQLite or PostgreSQL.

    Parameters:
        records: The database.
        table: Its name.
        columns: What may be exported and asked for, in this order; a mapping gives each column of
            the table another name: `{"createdAt": "created_at"}`.

    Raises:
        MissingExtraError: SQLAlchemy is not installed.
    """

    def __init__(
        self, records: Records, table: str, columns: Sequence[str] | Mapping[str, str]
    ) -> None:
        from toril.services.records.tables import StoredTable

        self._table = StoredTable(records, table, columns)

    def columns(self) -> Mapping[str, type]:
        """Return the columns with their types, as the database says."""
        return self._table.types()

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Rows]:
        """Read rows in the order of the primary key."""
        comparisons = [(one.column, one.operator, one.value) for one in wanted.conditions]
        with self._table.select(wanted.columns, comparisons) as (total, parts):
            yield Rows(total, parts)
