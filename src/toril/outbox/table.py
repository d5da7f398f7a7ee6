"""The table of an outbox, for SQLAlchemy and Alembic. Django makes its own: `contrib/django`."""

from __future__ import annotations

from typing import Any, Protocol

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text
from sqlalchemy.schema import CreateIndex, CreateTable, DropTable

from toril.outbox.rows import TABLE


class Executes(Protocol):
    """`op` of an Alembic script, or a connection."""

    def execute(self, statement: Any, /) -> Any:
        """Run a statement."""


def outbox_table(metadata: MetaData) -> Table:
    """Add the table of an outbox to some metadata, so that Alembic's autogenerate knows of it.

    Parameters:
        metadata: Your own, such as `Base.metadata`.
    """
    number = BigInteger().with_variant(Integer, "sqlite")
    return Table(
        TABLE,
        metadata,
        Column("position", number, primary_key=True, autoincrement=True),
        Column("row_id", Text, nullable=False, unique=True),
        Column("queue", Text, nullable=False),
        Column("name", Text, nullable=False),
        Column("data", Text, nullable=False),
        Column("options", Text, nullable=False),
        Column("created_ms", BigInteger, nullable=False),
        Column("refused_ms", BigInteger),
        Column("reason", Text),
        Index(
            f"{TABLE}_next",
            "queue",
            "position",
            postgresql_where=text("refused_ms IS NULL"),
            sqlite_where=text("refused_ms IS NULL"),
        ),
        sqlite_autoincrement=True,  # the position of a row that is gone is never given again
    )


def create_outbox(op: Executes) -> None:
    """Make the table of an outbox: in `upgrade()` of an Alembic script, or by a connection.

    Parameters:
        op: `alembic.op`, or a connection of SQLAlchemy.
    """
    table = outbox_table(MetaData())
    op.execute(CreateTable(table))
    for index in table.indexes:
        op.execute(CreateIndex(index))


def drop_outbox(op: Executes) -> None:
    """Drop the table of an outbox, with the jobs in it: in `downgrade()` of an Alembic script.

    Parameters:
        op: `alembic.op`, or a connection of SQLAlchemy.
    """
    op.execute(DropTable(outbox_table(MetaData())))
