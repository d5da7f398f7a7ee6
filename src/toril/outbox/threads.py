"""A database that is used by plain code, behind the asynchronous port: one thread does it all.

Drivers of SQLite, and Django, want each connection to stay in the thread that opened it.
"""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from toril.core.errors import OutboxError
from toril.outbox.database import require_file, translated

T = TypeVar("T")

LOOK_S = 0.5
"""How long a thread that listens waits before it looks whether it is to end."""


class PlainConnection(Protocol):
    """A connection as plain code uses it. Methods raise what the driver raises."""

    def run(self, statement: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """Run a statement in the open transaction, which the first one opens."""
        ...

    def commit(self) -> None:
        """Commit the open transaction."""
        ...

    def rollback(self) -> None:
        """Roll the open transaction back."""
        ...

    def listen(self) -> Any:
        """Begin to listen, outside of a transaction. Return the driver's own connection."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class ThreadedDatabase:
    """Fulfils `OutboxDatabase`."""

    def __init__(
        self,
        open_connection: Callable[[], PlainConnection],
        *,
        shown: str,
        dialect: str,
        path: str | None,
    ) -> None:
        self.shown = shown
        self.dialect = dialect
        self.path = path
        self._open = open_connection
        self._connection: PlainConnection | None = None
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, statement: str, **values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement."""

        def run() -> Sequence[Sequence[Any]]:
            if self._connection is None:
                require_file(self.path, self.shown)
                self._connection = self._open()
            return self._connection.run(statement, values)

        return await self._in_thread(run)

    async def commit(self) -> None:
        """Commit."""

        def commit() -> None:
            if self._connection is not None:
                self._connection.commit()

        await self._in_thread(commit)

    async def rollback(self) -> None:
        """Roll back; a connection that cannot is dropped."""
        with suppress(OutboxError):
            await self._in_thread(self._roll_back)

    async def listen(self, heard: Callable[[], None]) -> None:
        """Listen in a thread of its own."""
        if self.dialect != "postgresql":
            return
        ending = threading.Event()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if not done.done():
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

        def work() -> None:
            error: BaseException | None = None
            try:
                connection = self._open()
                try:
                    _hear(connection.listen(), heard, ending)
                finally:
                    with suppress(Exception):
                        connection.close()
            except Exception as problem:
                error = translated(problem, self.shown)
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, error)

        thread = threading.Thread(target=work, name="toril-outbox-listener", daemon=True)
        thread.start()
        try:
            await done
        finally:
            ending.set()

    async def close(self) -> None:
        """Close the connection and end the thread."""

        def close() -> None:
            if self._connection is not None:
                with suppress(Exception):
                    self._connection.close()
            self._connection = None

        if self._thread is not None:
            await self._in_thread(close)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def _in_thread(self, act: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="toril-outbox")

        def guarded() -> T:
            try:
                return act()
            except OutboxError:
                raise
            except Exception as error:
                self._roll_back()
                raise translated(error, self.shown) from error

        work = asyncio.get_running_loop().run_in_executor(self._thread, guarded)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            # The statement ends first, so that nothing of a cancelled pass is still under way.
            await asyncio.wait([work])
            with suppress(BaseException):
                work.result()
            raise

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except Exception:
            with suppress(Exception):
                self._connection.close()
            self._connection = None


def _hear(driver: Any, heard: Callable[[], None], ending: threading.Event) -> None:
    """Wait for notifications until told to end. Returns at once if the driver cannot listen."""
    module = type(driver).__module__.partition(".")[0]
    if module == "psycopg":
        while not ending.is_set():
            for _ in driver.notifies(timeout=LOOK_S, stop_after=1):
                heard()
    elif module == "psycopg2":
        while not ending.is_set():
            if select.select([driver], [], [], LOOK_S)[0]:
                driver.poll()
                if driver.notifies:
                    driver.notifies.clear()
                    heard()
