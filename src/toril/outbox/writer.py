"""Writes jobs as rows, with the transaction that the caller has open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, runtime_checkable

from toril.core.clock import Clock
from toril.core.errors import InvalidOptionError
from toril.engine.job import NewJob
from toril.engine.tracing import Tracer
from toril.outbox.database import translated
from toril.outbox.rows import new_row
from toril.outbox.statements import statements

_MARK = "toril_outbox"
"""In `Session.info`: the session has written rows, and its transaction has not ended."""


@runtime_checkable
class CallersTransaction(Protocol):
    """A transaction of a framework that `toril.contrib` knows."""

    shown: str
    dialect: str

    def run(self, statement: str, values: dict[str, Any]) -> object:
        """Run a statement in it."""

    def on_commit(self, call: Callable[[], None]) -> None:
        """Call a function once it has committed."""


class OutboxWriter:
    """Fulfils `engine.row_writer.RowWriter`."""

    def __init__(
        self, clock: Clock, wake: Callable[[], None], tracer: Callable[[], Tracer | None]
    ) -> None:
        """Make it.

        Parameters:
            clock: What time it is: delays count from when a row is written.
            wake: Called in any thread once a transaction with rows has ended.
            tracer: Returns what traces the jobs of the app, if anything does.
        """
        self._clock = clock
        self._wake = wake
        self._tracer = tracer

    async def write(self, transaction: object, job: NewJob) -> str:
        """Write a job with an `AsyncSession` or an `AsyncConnection`; return its id.

        Raises:
            InvalidOptionError: It is none.
            OutboxError: The database has no outbox, or refuses the row.
        """
        if isinstance(transaction, CallersTransaction) or "sqlalchemy" not in sys.modules:
            _refuse(transaction, "enqueue_in", "an AsyncSession or AsyncConnection of SQLAlchemy")
        from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session

        if isinstance(transaction, async_scoped_session):
            transaction = transaction()
        if not isinstance(transaction, AsyncSession | AsyncConnection):
            _refuse(transaction, "enqueue_in", "an AsyncSession or AsyncConnection of SQLAlchemy")
        values = self._values(job)
        await transaction.run_sync(lambda plain: self._insert(plain, values))
        return _job_id(values, job)

    def write_sync(self, transaction: object, job: NewJob) -> str:
        """Write a job with a `Session` or a `Connection`, or a framework's own; return its id.

        Raises:
            InvalidOptionError: It is none.
            OutboxError: The database has no outbox, or refuses the row.
        """
        if isinstance(transaction, CallersTransaction):
            values = self._values(job)
            try:
                transaction.run(statements(transaction.dialect).insert, values)
            except InvalidOptionError:
                raise
            except Exception as error:
                raise translated(error, transaction.shown) from error
            transaction.on_commit(self._wake)
            return _job_id(values, job)
        wanted = "a Session or Connection of SQLAlchemy"
        if "sqlalchemy" not in sys.modules:
            _refuse(transaction, "enqueue_in_sync", wanted)
        from sqlalchemy import Connection
        from sqlalchemy.orm import Session, scoped_session

        if isinstance(transaction, scoped_session):
            transaction = transaction()
        if not isinstance(transaction, Session | Connection):
            _refuse(transaction, "enqueue_in_sync", wanted)
        values = self._values(job)
        self._insert(transaction, values)
        return _job_id(values, job)

    def _values(self, job: NewJob) -> dict[str, Any]:
        tracer = self._tracer()
        return new_row(job if tracer is None else tracer.marked(job), self._clock.now_ms())

    def _insert(self, transaction: Any, values: dict[str, Any]) -> None:
        """Insert a row by a `Session` or `Connection`."""
        from sqlalchemy import Connection, text
        from sqlalchemy.exc import DBAPIError

        plain = isinstance(transaction, Connection)
        connection = transaction if plain else transaction.connection()
        try:
            connection.execute(text(statements(connection.dialect.name).insert), values)
        except DBAPIError as error:
            shown = connection.engine.url.render_as_string(hide_password=True)
            raise translated(error, shown) from error
        if not plain:
            self._expect_end(transaction)

    def _expect_end(self, session: Any) -> None:
        """Wake the relay of this process once the session's transaction has ended.

        A connection does not tell when it has committed. There, PostgreSQL tells, or the relay
        finds the row at its next poll.
        """
        from sqlalchemy import event

        session.info[_MARK] = True
        if not event.contains(session, "after_transaction_end", self._ended):
            event.listen(session, "after_transaction_end", self._ended)

    def _ended(self, session: Any, transaction: Any) -> None:
        if transaction.parent is None and session.info.pop(_MARK, False):
            self._wake()


def _job_id(values: dict[str, Any], job: NewJob) -> str:
    from toril.outbox.rows import job_id_of

    return job.job_id or job_id_of(values["row_id"])


def _refuse(transaction: object, method: str, wanted: str) -> NoReturn:
    kind = f"{type(transaction).__module__}.{type(transaction).__qualname__}"
    other = "enqueue_in_sync" if method == "enqueue_in" else "enqueue_in"
    raise InvalidOptionError(
        f"transaction: {method} was given a {kind}: expected {wanted}; {other} takes"
        f" {'those of plain code' if method == 'enqueue_in' else 'the asynchronous ones'}, and"
        " toril.contrib.django.in_transaction the transactions of Django"
    )
