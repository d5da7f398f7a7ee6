"""Brings the tables of a family to their newest version. Plain calls on one connection.

New tables are made as they are, without Alembic, which takes a second to load; older ones go
through their migrations. Either is one transaction, and only one process at a time is at it.
"""

from __future__ import annotations

import io
from typing import Any

import sqlalchemy as sa

from toril.services.records.families import TableFamily

_LOCK = 0x746F72696C  # "toril": the number of PostgreSQL's lock
_SCRIPTS = "toril.services.records:scripts"


def version_of(connection: sa.Connection, family: TableFamily) -> str | None:
    """Return the version of a family's tables; None if none is noted."""
    if not sa.inspect(connection).has_table(family.version_table):
        return None
    rows = connection.execute(sa.select(_version_table(family).c.version_num)).all()
    return str(rows[0][0]) if rows else None


def is_current(connection: sa.Connection, family: TableFamily) -> bool:
    """Whether the tables are of the newest version, or one that only a newer Toril knows."""
    version = version_of(connection, family)
    return version is not None and version >= family.head


def migrate(connection: sa.Connection, family: TableFamily) -> bool:
    """Make the tables, or bring them to their newest version; return whether that was needed.

    Parameters:
        connection: In a transaction that writes.
        family: The tables.
    """
    lock_tables(connection)
    if is_current(connection, family):
        return False
    there = set(sa.inspect(connection).get_table_names())
    if there & {family.version_table, *family.metadata.tables}:
        _upgrade(family, connection)
    else:
        family.metadata.create_all(connection, checkfirst=False)
        version = _version_table(family)
        version.create(connection)
        connection.execute(sa.insert(version).values(version_num=family.head))
    return True


def lock_tables(connection: sa.Connection) -> None:
    """Let only one process at a time make tables, until the transaction ends.

    On SQLite only one writes anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def script(family: TableFamily, dialect: str) -> str:
    """Return all migrations of a family as SQL, for who runs it by hand.

    Parameters:
        family: The tables.
        dialect: `sqlite` or `postgresql`.
    """
    output = io.StringIO()
    _upgrade(family, None, dialect=dialect, output=output)
    return output.getvalue()


def _version_table(family: TableFamily) -> sa.Table:
    """The table as Alembic makes it."""
    return sa.Table(
        family.version_table,
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name=f"{family.version_table}_pkc"),
    )


def _upgrade(
    family: TableFamily,
    connection: sa.Connection | None,
    *,
    dialect: str = "",
    output: io.StringIO | None = None,
) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(output_buffer=output, attributes=_attributes(family, connection, dialect))
    config.set_main_option("script_location", _SCRIPTS)
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(family.folder).replace("%", "%%"))
    command.upgrade(config, "head", sql=connection is None)


def _attributes(
    family: TableFamily, connection: sa.Connection | None, dialect: str
) -> dict[str, Any]:
    return {"family": family, "connection": connection, "dialect": dialect}
