"""The thread that answers questions, beside the writer, from a snapshot of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import apsw

from toril.backends.sqlite.connection import Place, connect_reader
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

    def __init__(self, path: str, place: Place) -> None:
        self._path = path
        self._place = place
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="toril-sqlite-reader")
        self._connection: apsw.Connection | None = None
        self._closed = False
        self._lock = threading.Lock()

    async def ask(self, question: Callable[[View], T]) -> T:
        """Return the question's answer."""
        with self._lock:
            if self._closed:
                raise BackendClosedError(f"{self._path}: the store was closed")
            future: Future[T] = self._pool.submit(self._answer, question)
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Finish what is under way and let go."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._pool.submit(self._disconnect)
        self._pool.shutdown(wait=True)

    def _answer(self, question: Callable[[View], T]) -> T:
        try:
            self._place.check()
            connection = self._connection
            if connection is None:
                connection = self._connection = connect_reader(self._path)
            connection.execute("BEGIN")
            try:
                return question(_Snapshot(connection))
            finally:
                if connection.in_transaction:  # some errors end it by themselves
                    connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise translate(error, self._path) from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


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
