"""What a relay asks of the caller's database, whatever it is reached with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from toril.core.errors import OutboxError
from toril.outbox.rows import TABLE


class OutboxDatabase(Protocol):
    """One connection to the database, used by one caller at a time; opened when first used."""

    shown: str
    """Where the database is, without secrets."""
    dialect: str
    path: str | None
    """The file of an SQLite database, absolute."""

    async def run(self, statement: str, **values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement in the open transaction, which the first one opens. Return its rows.

        Raises:
            OutboxError: The database cannot do it. The transaction is rolled back.
        """
        ...

    async def commit(self) -> None:
        """Commit the open transaction, if there is one.

        Raises:
            OutboxError: It could not be committed, or perhaps it was.
        """
        ...

    async def rollback(self) -> None:
        """Roll the open transaction back, if there is one. Never raises."""
        ...

    async def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard`, in any thread, whenever somebody has committed rows. Until cancelled.

        Returns only if this database or driver cannot tell.

        Raises:
            OutboxError: The connection for it was lost or refused.
        """
        ...

    async def close(self) -> None:
        """Let go of its connections."""
        ...


def require_file(path: str | None, shown: str) -> None:
    """Refuse an SQLite database that is not there: to connect to it would make an empty one.

    Raises:
        OutboxError: It is not.
    """
    if path is not None and not os.path.exists(path):
        raise OutboxError(f"{shown}: there is no such file, and a relay makes none")


def translated(error: Exception, shown: str) -> OutboxError:
    """Return the sentence for an error of a database."""
    text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    if TABLE in text and ("no such table" in text or "does not exist" in text):
        return OutboxError(
            f"{shown} has no table {TABLE}: run the migration that makes it"
            " (docs/learn/outbox.md, The table)"
        )
    return OutboxError(f"the outbox in {shown} cannot be used: {type(error).__name__}: {text}")
