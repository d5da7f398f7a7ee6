"""The caller's database by SQLAlchemy: by its URL, or by an engine that the program has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from toril.core.errors import InvalidOptionError, OutboxError
from toril.outbox.database import OutboxDatabase, require_file, translated
from toril.outbox.rows import CHANNEL
from toril.outbox.statements import statements
from toril.outbox.threads import ThreadedDatabase

ISOLATION = {"postgresql": "READ COMMITTED", "sqlite": "SERIALIZABLE"}
"""Of a relay's transactions. PostgreSQL: it has to see the rows that others removed while it waited
for its turn, whatever the engine's own default is."""
LISTEN = f"LISTEN {CHANNEL}"
PSYCOPG = "postgresql+psycopg"
"""The driver for URLs that name none."""


def open_database(place: str | Engine | AsyncEngine) -> OutboxDatabase:
    """Return the database of an outbox. It is connected to when it is first used.

    Parameters:
        place: A URL as SQLAlchemy has it, or an engine.

    Raises:
        InvalidOptionError: It is none of these, or no database that can have an outbox.
        MissingExtraError: The driver is not installed.
    """
    engine = _engine(place) if isinstance(place, str) else place
    if not isinstance(engine, Engine | AsyncEngine):
        raise InvalidOptionError(
            f"outbox={place!r}: expected a URL such as postgresql+psycopg://host/name, or an engine"
            " of SQLAlchemy"
        )
    dialect = engine.dialect.name
    statements(dialect)
    path = _file(engine.url) if dialect == "sqlite" else None
    shown = engine.url.render_as_string(hide_password=True)
    if isinstance(engine, AsyncEngine):
        return AsyncEngineDatabase(engine, shown=shown, path=path)

    def connect() -> EngineConnection:
        return EngineConnection(engine.connect())

    return ThreadedDatabase(connect, shown=shown, dialect=dialect, path=path)


class EngineConnection:
    """Fulfils `PlainConnection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._isolated = False

    def run(self, statement: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
        """Run a statement."""
        if not self._isolated:
            level: Any = ISOLATION[self._connection.dialect.name]
            self._connection.execution_options(isolation_level=level)
            self._isolated = True
        found = self._connection.execute(text(statement), values)
        return found.all() if found.returns_rows else []

    def commit(self) -> None:
        """Commit."""
        self._connection.commit()

    def rollback(self) -> None:
        """Roll back."""
        self._connection.rollback()

    def listen(self) -> Any:
        """Listen."""
        self._connection.execution_options(isolation_level="AUTOCOMMIT")
        self._connection.exec_driver_sql(LISTEN)
        return self._connection.connection.driver_connection

    def close(self) -> None:
        """Give it back to the engine; one that listens is closed."""
        self._connection.invalidate()
        self._connection.close()


class AsyncEngineDatabase:
    """Fulfils `OutboxDatabase`."""

    def __init__(self, engine: AsyncEngine, *, shown: str, path: str | None) -> None:
        self.shown = shown
        self.dialect = engine.dialect.name
        self.path = path
        self._engine = engine
        self._connection: AsyncConnection | None = None

    async def run(self, statement: str, **values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement."""
        try:
            if self._connection is None:
                require_file(self.path, self.shown)
                opened = await self._engine.connect()
                level: Any = ISOLATION[self.dialect]
                self._connection = await opened.execution_options(isolation_level=level)
            found = await self._connection.execute(text(statement), values)
            return found.all() if found.returns_rows else []
        except OutboxError:
            raise
        except Exception as error:
            await self.rollback()
            raise translated(error, self.shown) from error

    async def commit(self) -> None:
        """Commit."""
        try:
            if self._connection is not None:
                await self._connection.commit()
        except Exception as error:
            await self.rollback()
            raise translated(error, self.shown) from error

    async def rollback(self) -> None:
        """Roll back; a connection that cannot is dropped."""
        connection = self._connection
        if connection is None:
            return
        try:
            await connection.rollback()
        except Exception:
            self._connection = None
            await _drop(connection)

    async def listen(self, heard: Callable[[], None]) -> None:
        """Listen."""
        if self.dialect != "postgresql":
            return
        try:
            opened = await self._engine.connect()
        except Exception as error:
            raise translated(error, self.shown) from error
        try:
            connection = await opened.execution_options(isolation_level="AUTOCOMMIT")
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await _hear(connection, driver, heard)
        except Exception as error:
            raise translated(error, self.shown) from error
        finally:
            await _drop(opened)

    async def close(self) -> None:
        """Let go of the connection: it goes back to an engine of the program's own."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if isinstance(self._engine.pool, NullPool):
            await _drop(connection)
        else:
            with suppress(Exception):
                await connection.close()


async def _drop(connection: AsyncConnection) -> None:
    """Close a connection at once. With asyncpg a polite end has been seen to wait for a minute."""
    with suppress(Exception):
        driver: Any = (await connection.get_raw_connection()).driver_connection
        if type(driver).__module__.startswith("asyncpg"):
            driver.terminate()
    with suppress(Exception):
        await connection.invalidate()
    with suppress(Exception):
        await connection.close()


async def _hear(connection: AsyncConnection, driver: Any, heard: Callable[[], None]) -> None:
    """Wait for notifications, until cancelled or the connection is lost.

    Returns if the driver cannot listen.
    """
    module = type(driver).__module__.partition(".")[0]
    if module == "psycopg":
        await connection.exec_driver_sql(LISTEN)
        async for _ in driver.notifies():
            heard()
        raise ConnectionError("the server has closed the connection")
    if module == "asyncpg":
        lost = asyncio.Event()
        driver.add_termination_listener(lambda _: lost.set())
        await driver.add_listener(CHANNEL, lambda *_: heard())
        await lost.wait()
        raise ConnectionError("the server has closed the connection")


def _engine(place: str) -> Engine | AsyncEngine:
    try:
        url = make_url(place)
    except ArgumentError:
        raise InvalidOptionError(
            "outbox: expected a URL such as postgresql+psycopg://host/name or sqlite:///shop.db"
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        url = url.set(drivername=PSYCOPG)
    try:
        if url.get_dialect().is_async and not url.drivername.endswith("psycopg"):
            return create_async_engine(url, poolclass=NullPool)
        return create_engine(url, poolclass=NullPool)
    except NoSuchModuleError:
        raise InvalidOptionError(
            f"outbox: {url.drivername}:// is no database that SQLAlchemy knows; expected"
            " postgresql+psycopg://, postgresql+asyncpg://, sqlite:/// or sqlite+aiosqlite:///"
        ) from None
    except ModuleNotFoundError as error:
        raise InvalidOptionError(
            f"outbox: {url.drivername}:// needs {error.name}, which is not installed: pip install"
            f" {error.name}"
        ) from None


def _file(url: URL) -> str:
    """Return the file of an SQLite database.

    Raises:
        InvalidOptionError: It has none: in memory, a relay would end the transactions of others.
    """
    name = url.database or ""
    if name in ("", ":memory:") or "mode=memory" in name or name.startswith("file:"):
        raise InvalidOptionError(
            f"outbox={url.render_as_string()!r}: expected a file, such as sqlite:///shop.db"
        )
    return str(Path(name).absolute())
