"""A database of the caller's own, of each kind and driver, and a store of each kind."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from tests.cli.support import terminal
from tests.support.postgres import running_postgres

from toril.outbox.table import create_outbox

__all__ = ["terminal"]


@dataclass
class Database:
    """Where the caller's rows are."""

    url: str
    """For a relay."""
    plain_url: str
    """By a driver of plain code."""

    def plain(self) -> Engine:
        """Return an engine for plain code."""
        return create_engine(self.plain_url, poolclass=NullPool)

    def make(self) -> None:
        """Make the outbox, and a table of the caller's own."""
        engine = self.plain()
        with engine.begin() as connection:
            create_outbox(connection)
            connection.execute(text("CREATE TABLE orders (id BIGINT PRIMARY KEY)"))

    def ask(self, statement: str, **values: object) -> list[tuple[object, ...]]:
        """Return the rows of a statement, which is committed."""
        with self.plain().begin() as connection:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

    @property
    def waiting(self) -> int:
        """How many rows the outbox has."""
        return int(str(self.ask("SELECT count(*) FROM toril_outbox")[0][0]))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server for all tests of outboxes: a database each."""
    with running_postgres(options=("-c", "fsync=off")) as url:
        yield url.replace("postgresql://", "postgresql+psycopg://")


DRIVERS = ("sqlite", "aiosqlite", "psycopg", "asyncpg")


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """With what the relay reaches the database."""
    return str(request.param)


@pytest.fixture
def database(request: pytest.FixtureRequest, driver: str, tmp_path: Path) -> Iterator[Database]:
    """A database with an outbox."""
    if "sqlite" in driver:
        path = f"{tmp_path}/shop.db"
        kind = "sqlite" if driver == "sqlite" else "sqlite+aiosqlite"
        made = Database(f"{kind}:///{path}", f"sqlite:///{path}")
        made.make()
        made.ask("PRAGMA journal_mode=WAL")
        yield made
        return
    server: str = request.getfixturevalue("postgres_server")
    name = f"t{secrets.token_hex(6)}"
    admin = create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    plain_url = f"{server.rpartition('/')[0]}/{name}"
    made = Database(plain_url.replace("+psycopg", f"+{driver}"), plain_url)
    made.make()
    yield made
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """An engine of the caller's own, for asynchronous code."""
    url = database.url.replace("sqlite:///", "sqlite+aiosqlite:///", 1)
    url = url.replace("+psycopg2:", "+psycopg:")
    if "+aiosqlite" in database.url:
        url = database.url
    made = create_async_engine(url)
    yield made
    await made.dispose()


@pytest.fixture(params=["sqlite-store", "redis-store"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where jobs live."""
    if request.param == "redis-store":
        return str(request.getfixturevalue("redis_url"))
    return f"sqlite:///{tmp_path}/toril.db?durability=normal"
