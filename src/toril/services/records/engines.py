"""Makes SQLAlchemy's engines: one way of speaking to each kind of database, everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, QueuePool

from toril.core.checks import is_whole, require
from toril.core.errors import MissingExtraError
from toril.core.extras import how_to_install
from toril.services.records.addresses import DatabaseAddress, make_file

BUSY_TIMEOUT_S = 10.0
"""How long a SQLite writer waits for another before it gives up, in seconds."""
WRITES = "toril_writes"
"""The execution option of a transaction that will write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """How many connections a process has to a database."""

    size: int = 5
    """How many stay open."""
    overflow: int = 5
    """How many more are opened when those are in use; they are closed after it."""
    timeout_s: float = 30.0
    """How long a caller waits for one, in seconds."""
    recycle_s: float | None = None
    """After how long one is replaced, in seconds. For servers that close old ones."""

    def __post_init__(self) -> None:
        good = is_whole(self.size) and self.size >= 1
        require(good, "pool size", self.size, "a number of connections from 1")
        good = is_whole(self.overflow) and self.overflow >= 0
        require(good, "pool overflow", self.overflow, "a number of connections from 0")
        require(self.timeout_s > 0, "pool timeout_s", self.timeout_s, "seconds, above 0")
        good = self.recycle_s is None or self.recycle_s > 0
        require(good, "pool recycle_s", self.recycle_s, "seconds, above 0, or None: never")


def plain_engine(address: DatabaseAddress, pool: PoolOptions, file_mode: int) -> sa.Engine:
    """Return an engine for plain code.

    Raises:
        MissingExtraError: The database's driver is not installed.
    """
    try:
        options = _options(address, pool, file_mode, QueuePool)
        engine = sa.create_engine(address.plain, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise _missing(address.plain, error) from error
    _listen(address, engine)
    return engine


def async_engine(address: DatabaseAddress, pool: PoolOptions, file_mode: int) -> AsyncEngine:
    """Return an engine for asyncio, of the loop that runs.

    Raises:
        MissingExtraError: The database's driver is not installed.
    """
    try:
        options = _options(address, pool, file_mode, AsyncAdaptedQueuePool)
        engine = create_async_engine(address.asynchronous, **options)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise _missing(address.asynchronous, error) from error
    _listen(address, engine.sync_engine)
    return engine


def _options(
    address: DatabaseAddress, pool: PoolOptions, file_mode: int, kind: type[sa.Pool]
) -> dict[str, Any]:
    # hide_parameters: what people have stored has no place in error texts and logs.
    options: dict[str, Any] = {
        "hide_parameters": True,
        "poolclass": kind,
        "pool_size": pool.size,
        "max_overflow": pool.overflow,
        "pool_timeout": pool.timeout_s,
        "pool_recycle": -1 if pool.recycle_s is None else pool.recycle_s,
    }
    if address.kind == "postgresql":
        return options | {"pool_pre_ping": True}
    if address.in_memory:
        # One connection that callers take in turn: each one more would be a database of its own.
        options |= {"pool_size": 1, "max_overflow": 0, "pool_recycle": -1}
    elif address.file is not None:
        make_file(address.file, file_mode)
    connecting: dict[str, Any] = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    return options | {"connect_args": connecting}


def _listen(address: DatabaseAddress, engine: sa.Engine) -> None:
    """Have SQLite begin transactions when we say so, and hold foreign keys.

    The rollback journal and full synchronisation are SQLite's defaults and stay: several processes
    may write, each waiting for the others, and what is saved survives a power cut. WAL is not used:
    with several processes it can corrupt the file in SQLite before 3.51.3, which most Pythons still
    bring.
    """
    if address.kind != "sqlite":
        return

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # Python's module would begin late and only for some statements, so that a transaction that
        # has read could not wait to write, and tables were not made in one.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begins(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _missing(url: sa.URL, error: ImportError | NoSuchModuleError) -> MissingExtraError:
    name = url.drivername
    if name == "postgresql+psycopg":
        return MissingExtraError(f"{name} needs its driver: {how_to_install('postgres')}")
    if name == "sqlite+aiosqlite":
        return MissingExtraError(f"{name} needs its driver: {how_to_install('records')}")
    lacking = getattr(error, "name", None) or name.partition("+")[2]
    return MissingExtraError(f"{name} needs its driver: pip install {lacking}")
