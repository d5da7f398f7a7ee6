"""What a person does with tables: look at them, bring them up to date, read their SQL.

Errors of the database come as a sentence here; people at a terminal have no use for SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from toril.core.extras import missing_extra

try:
    from sqlalchemy.exc import SQLAlchemyError
except ModuleNotFoundError as error:
    raise missing_extra("records need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily
from toril.services.records.migrating import is_current, migrate, script, version_of
from toril.services.records.records import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyState:
    """The tables of a family in a database."""

    family: str
    version: str | None
    """None: there are none, or they were made before there were versions."""
    newest: str
    """What this installation needs."""
    current: bool
    """Whether they can be used as they are."""


def states(records: Records, families: Sequence[TableFamily]) -> list[FamilyState]:
    """Return how the tables are. A file that is not there has none, and is not made.

    Raises:
        RecordsUnavailableError: The database does not answer, or refuses.
    """
    if records.is_missing:
        return [
            FamilyState(family=family.name, version=None, newest=family.head, current=False)
            for family in families
        ]
    with _telling(records), records.reading_plain() as connection:
        return [
            FamilyState(
                family=family.name,
                version=version_of(connection, family),
                newest=family.head,
                current=is_current(connection, family),
            )
            for family in families
        ]


def bring_up_to_date(records: Records, family: TableFamily) -> bool:
    """Make the tables of a family or migrate them; return whether that was needed.

    Raises:
        RecordsUnavailableError: The database does not answer, or refuses. Nothing was changed.
    """
    with _telling(records), records.begin_plain() as connection:
        return migrate(connection, family)


def sql_of(records: Records, families: Sequence[TableFamily]) -> str:
    """Return all migrations as SQL. The database is not asked."""
    return "\n".join(script(family, records.kind) for family in families)


@contextmanager
def _telling(records: Records) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise records.unavailable(error) from None
