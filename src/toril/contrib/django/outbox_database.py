"""The outbox in a database of Django's: how rows are written, and how a relay reaches them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from toril.core.errors import InvalidOptionError
from toril.outbox.database import OutboxDatabase
from toril.outbox.rows import CHANNEL
from toril.outbox.statements import statements
from toril.outbox.threads import ThreadedDatabase

_NAME = re.compile(r":([a-z_]+)")


class DjangoTransaction:
    """The transaction that this thread has open in a database. Fulfils `CallersTransaction`."""

    def __init__(self, using: str | None) -> None:
        """Find the connection.

        Parameters:
            using: The name of the database. None: `default`.
        """
        from django.db import DEFAULT_DB_ALIAS, connections

        self._using = using or DEFAULT_DB_ALIAS
        self._connection = connections[self._using]
        self.shown = _shown(self._using)
        self.dialect: str = self._connection.vendor

    def run(self, statement: str, values: dict[str, Any]) -> object:
        """Run a statement in it."""
        return _run(self._connection, statement, values)

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call a function once it has committed; at once if there is none."""
        from django.db import transaction

        transaction.on_commit(call, using=self._using, robust=True)


class DjangoConnection:
    """A connection of this thread's own, for a relay. Fulfils `PlainConnection`."""

    def __init__(self, alias: str) -> None:
        from django.db import connections

        self._connection = connections[alias]

    def run(self, statement: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """Run a statement."""
        if self._connection.get_autocommit():
            self._connection.set_autocommit(False)
        return _run(self._connection, statement, values)

    def commit(self) -> None:
        """Commit."""
        self._connection.commit()
        self._connection.queries_log.clear()

    def rollback(self) -> None:
        """Roll back."""
        self._connection.rollback()

    def listen(self) -> Any:
        """Listen."""
        self._connection.set_autocommit(True)
        _run(self._connection, f"LISTEN {CHANNEL}", {})
        return self._connection.connection

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def open_database(alias: str) -> OutboxDatabase:
    """Return the database of an outbox by its name in `DATABASES`.

    Raises:
        InvalidOptionError: It can have no outbox.
    """
    from django.db import connections

    connection = connections[alias]
    dialect = connection.vendor
    statements(dialect)
    path = None
    if dialect == "sqlite":
        name = str(connection.settings_dict["NAME"])
        if name == ":memory:" or "mode=memory" in name:
            raise InvalidOptionError(
                f"outbox={alias!r}: that database is in memory; expected one in a file"
            )
        path = str(Path(name).absolute())
    return ThreadedDatabase(
        lambda: DjangoConnection(alias), shown=_shown(alias), dialect=dialect, path=path
    )


def _run(connection: Any, statement: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_NAME.sub(r"%(\1)s", statement), values or None)
        found: Sequence[Sequence[Any]] = [] if cursor.description is None else cursor.fetchall()
    return found


def _shown(alias: str) -> str:
    return f"Django's database {alias!r}"
