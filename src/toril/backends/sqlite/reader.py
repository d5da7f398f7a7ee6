"""The thread that reads, from a snapshot of its own, so that no query waits for the writer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import apsw

from toril.backends.forks import FORKS
from toril.backends.sqlite.connection import connect_reader
from toril.backends.sqlite.file_watch import FileWatch
from toril.backends.sqlite.fork_safe import ForkSafeConnection
from toril.backends.sqlite.replies import translate
from toril.backends.sqlite.statements import statement
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.errors import BackendClosedError

T = TypeVar("T")


class View(Protocol):
    """What a question may use: statements that change nothing."""

    def run(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run the statement `name` and return its rows."""
        ...


class Reader(Protocol):
    """Runs questions."""

    async def ask(self, question: Callable[[View], T]) -> T:
        """Return the question's answer, from one consistent state of the store."""
        ...

    def close(self) -> None:
        """Finish what is under way and let go."""
        ...


class FileReader:
    """Questions to a file: a connection and a thread of their own, so no writer waits for them."""

    def __init__(self, path: str, place: FileWatch) -> None:
        self._path = path
        self._place = place
        self._kept = ForkSafeConnection(
            path, ForkSafeConnection.READS, lambda: connect_reader(path)
        )
        self._closed = False
        self.renew()
        FORKS.tell(self)

    def renew(self) -> None:
        """Begin without a thread. In a forked child too, which has none."""
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    async def ask(self, question: Callable[[View], T]) -> T:
        """Return the question's answer."""
        with self._lock:
            if self._closed:
                raise BackendClosedError(f"{self._path}: the store was closed")
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="toril-sqlite-reader")
            future: Future[T] = self._pool.submit(self._answer, question)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish what is under way and let go."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            pool = self._pool
        if pool is not None:
            pool.shutdown(wait=True)
        with self._kept:
            self._kept.put_away()

    def _answer(self, question: Callable[[View], T]) -> T:
        while True:
            mark = FORKS.mark()
            try:
                with self._kept:
                    self._place.check()
                    return self._ask(question, self._kept.connection())
            except (apsw.InterruptError, apsw.BusyError) as error:
                if not FORKS.disturbed(mark):
                    raise translate(error, self._path) from error
                FORKS.let_by()  # it was made to end for a fork
            except apsw.Error as error:
                raise translate(error, self._path) from error

    def _ask(self, question: Callable[[View], T], connection: apsw.Connection) -> T:
        connection.execute("BEGIN")
        try:
            return question(_Snapshot(connection))
        finally:
            if connection.in_transaction:  # some errors end it by themselves
                connection.execute("ROLLBACK")


class SharedReader:
    """Questions to a store in memory: it has one connection, which is the writer's."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def ask(self, question: Callable[[View], T]) -> T:
        """Return the question's answer."""

        def answer(transaction: Transaction) -> T:
            transaction.flush()
            return question(transaction)

        return await self._writer.run(answer, durable=False)

    def close(self) -> None:
        """Nothing to let go of."""


class _Snapshot:
    __slots__ = ("_connection",)

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def run(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement(name), values).fetchall()
