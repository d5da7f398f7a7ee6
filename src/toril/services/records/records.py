"""A database of the user's: one pool of connections a process, for asyncio and for plain code."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from toril.core.checks import require
from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
except ImportError as error:
    raise missing_extra("records need SQLAlchemy", "records") from error

from toril.services.forked import leave_to_parent
from toril.services.records import upserts
from toril.services.records.addresses import DatabaseKind, parse_address
from toril.services.records.engines import WRITES, PoolOptions, async_engine, plain_engine
from toril.services.records.errors import RecordsOutdatedError, RecordsUnavailableError
from toril.services.records.families import TableFamily
from toril.services.records.migrating import is_current, lock_tables, migrate
from toril.services.records.statements import statements_of

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

Migrate = Literal["auto", "check"]
DEFAULT_URL = "sqlite:///records.db"
_READS = re.compile(r"\s*select\b", re.IGNORECASE)


class Records:
    """A database. Make one for a process and share it: between tasks, threads and event loops.

    It connects when it is used. A forked process gets connections of its own; a child process that
    is given one by pickle as well.

    Parameters:
        url: `sqlite:///records.db` or `postgresql://user:password@host/database`; see
            `parse_address`. `sqlite://` is in memory, for tests, and either for asyncio or for
            plain code.
        pool: How many connections.
        migrate: `auto`: tables are made and brought up to date when they are first needed. `check`:
            an error says so, and `toril records migrate` does it.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(
        self,
        url: str,
        *,
        pool: PoolOptions | None = None,
        migrate: Migrate = "auto",
        file_mode: int = 0o600,
    ) -> None:
        require(migrate in ("auto", "check"), "migrate", migrate, "auto or check")
        self._url = url
        self._address = parse_address(url)
        self._pool = pool or PoolOptions()
        self._migrate: Migrate = migrate
        self._file_mode = file_mode
        self._open = _Open()

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, default_url: str = DEFAULT_URL
    ) -> Records:
        """Return the database that the environment names.

        Reads `DATABASE_URL`, `DATABASE_POOL_SIZE` (connections of a process) and `DATABASE_MIGRATE`
        (`auto` or `check`). Empty means unset.

        Parameters:
            environ: Where to read. Default: the process's own environment.
            default_url: Used if `DATABASE_URL` is not set.

        Raises:
            InvalidSettingError: With the variable's name and what would do.
        """
        environ = os.environ if environ is None else environ
        given = {name: value.strip() for name, value in environ.items() if value.strip()}
        size = given.get("DATABASE_POOL_SIZE")
        if size is not None and not (size.isascii() and size.isdigit() and int(size) >= 1):
            raise InvalidSettingError(f"DATABASE_POOL_SIZE={size!r}: expected a number from 1")
        chosen = given.get("DATABASE_MIGRATE", "auto")
        if chosen not in ("auto", "check"):
            raise InvalidSettingError(f"DATABASE_MIGRATE={chosen!r}: expected auto or check")
        try:
            return cls(
                given.get("DATABASE_URL", default_url),
                pool=PoolOptions() if size is None else PoolOptions(size=int(size)),
                migrate="check" if chosen == "check" else "auto",
            )
        except InvalidOptionError as error:
            told = str(error).replace("database_url", "it")
            raise InvalidSettingError(f"DATABASE_URL: {told}") from None

    def __repr__(self) -> str:
        return f"Records({self._address.shown!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self._url, self._pool, self._migrate, self._file_mode)

    @property
    def kind(self) -> DatabaseKind:
        """`sqlite` or `postgresql`."""
        return self._address.kind

    @property
    def file(self) -> Path | None:
        """The file of SQLite. None: it is a server, in memory, or named by a `file:` URI."""
        return self._address.file

    @property
    def is_missing(self) -> bool:
        """Whether it is a file that is not there yet: to connect to it makes it."""
        return self.file is not None and not self.file.exists()

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's engine for asyncio, of the event loop that runs.

        Raises:
            MissingExtraError: The driver is not installed.
        """
        here = self._here()
        loop = asyncio.get_running_loop()
        with here.lock:
            found = here.engines.get(loop)
            if found is None:
                self._claim(here, "asyncio")
                found = async_engine(self._address, self._pool, self._file_mode)
                here.engines[loop] = found
                # Engines of loops that have ended hold connections that nobody can use.
                for ended in [one for one in here.engines if one.is_closed()]:
                    here.engines.pop(ended).sync_engine.dispose(close=False)
            return found

    @property
    def plain_engine(self) -> sa.Engine:
        """SQLAlchemy's engine for plain code: tasks in threads and child processes.

        Raises:
            MissingExtraError: The driver is not installed.
        """
        here = self._here()
        with here.lock:
            if here.plain is None:
                self._claim(here, "plain code")
                here.plain = plain_engine(self._address, self._pool, self._file_mode)
            return here.plain

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Give a transaction that may write; an error rolls it back.

        On SQLite it waits for other writers at its beginning, and never fails half-way for them.
        """
        async with self.engine.execution_options(**{WRITES: True}).begin() as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; what it should write is not kept."""
        async with self.engine.connect() as connection:
            yield connection

    async def rows(self, text: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """Run a statement of SQL, and return the rows that it reads, if it does.

        Parameters:
            text: SQL, with `:name` where a value stands. One that does not begin with `SELECT` runs
                in a transaction.
            values: By name.
        """
        reads = text.lstrip()[:6].upper() == "SELECT"
        async with self.reading() if reads else self.begin() as connection:
            done = await connection.execute(sa.text(text), values)
            return [dict(row) for row in done.mappings()] if done.returns_rows else []

    async def script(self, text: str) -> None:
        """Run statements of SQL, one after another, in one transaction.

        Parameters:
            text: Each statement ends with `;` and the end of a line.
        """
        async with self.begin() as connection:
            for statement in text.split(";\n"):
                if statement.strip():
                    await connection.execute(sa.text(statement))

    @contextmanager
    def begin_plain(self) -> Iterator[sa.Connection]:
        """`begin` for plain code."""
        with self.plain_engine.execution_options(**{WRITES: True}).begin() as connection:
            yield connection

    @contextmanager
    def reading_plain(self) -> Iterator[sa.Connection]:
        """`reading` for plain code."""
        with self.plain_engine.connect() as connection:
            yield connection

    async def run(self, text: str, **values: Any) -> list[dict[str, Any]]:
        """Run a statement of your own, and return the rows that it gives.

        `SELECT` only reads; any other statement is a transaction of its own.

        ```python
        rows = await records.run("SELECT name FROM users WHERE id = :id", id="u1")
        ```

        Parameters:
            text: SQL, with `:name` where a value goes.
            **values: The values, by name.

        Raises:
            SQLAlchemyError: The database refuses it, or is away.
        """
        opened = self.reading if _READS.match(text) else self.begin
        async with opened() as connection:
            done = await connection.execute(sa.text(text), values)
            return [dict(row) for row in done.mappings()] if done.returns_rows else []

    async def value(self, text: str, **values: Any) -> Any:
        """Run a statement, and return the first value of its first row; None: it gives no row.

        Parameters and errors as of `run`.
        """
        rows = await self.run(text, **values)
        return next(iter(rows[0].values())) if rows else None

    async def run_script(self, path: Path | str) -> None:
        """Run the statements of a file, all or none, such as `CREATE TABLE IF NOT EXISTS`.

        Of several processes that begin at once, one runs it after another.

        Parameters:
            path: SQL in UTF-8. Each statement ends with a `;` at the end of a line.

        Raises:
            OSError: The file cannot be read.
            SQLAlchemyError: The database refuses a statement, or is away.
        """
        statements = statements_of(await asyncio.to_thread(Path(path).read_text, "utf-8"))
        async with self.begin() as connection:
            await connection.run_sync(lock_tables)
            await connection.execution_options(no_parameters=True)  # a `%` is one
            for statement in statements:
                # Not `sa.text`, which takes the `:b` of 'a:b' for the name of a value.
                await connection.exec_driver_sql(statement)

    async def prepare(self, *families: TableFamily) -> None:
        """Have the tables of families there. Call it before each use: the second call does nothing.

        Raises:
            RecordsOutdatedError: With `migrate="check"`: they are missing or older.
        """
        prepared = self._here().prepared
        for family in families:
            if family.name in prepared:
                continue
            async with self.reading() as connection:
                current = await connection.run_sync(is_current, family)
            if not current:
                self._check_may_migrate(family)
                async with self.begin() as connection:
                    await connection.run_sync(migrate, family)
            prepared.add(family.name)

    def prepare_plain(self, *families: TableFamily) -> None:
        """`prepare` for plain code."""
        prepared = self._here().prepared
        for family in families:
            if family.name in prepared:
                continue
            with self.reading_plain() as connection:
                current = is_current(connection, family)
            if not current:
                self._check_may_migrate(family)
                with self.begin_plain() as connection:
                    migrate(connection, family)
            prepared.add(family.name)

    def upsert(
        self,
        table: sa.Table,
        rows: upserts.Row | Sequence[upserts.Row],
        *,
        key: Sequence[str] = (),
        keep: Sequence[str] = (),
    ) -> sqlite.Insert | postgresql.Insert:
        """Return a statement that adds rows or changes them: see `upserts.upsert`."""
        return upserts.upsert(self.kind, table, rows, key=key, keep=keep)

    def insert_missing(
        self,
        table: sa.Table,
        rows: upserts.Row | Sequence[upserts.Row],
        *,
        key: Sequence[str] = (),
    ) -> sqlite.Insert | postgresql.Insert:
        """Return a statement that adds rows that are not there: see `upserts.insert_missing`."""
        return upserts.insert_missing(self.kind, table, rows, key=key)

    async def check(self) -> None:
        """Look whether the database answers. For health checks.

        Raises:
            RecordsUnavailableError: It does not.
        """
        try:
            async with self.reading() as connection:
                await connection.execute(self._question)
        except (SQLAlchemyError, OSError) as error:
            raise self.unavailable(error) from None

    def check_plain(self) -> None:
        """`check` for plain code."""
        try:
            with self.reading_plain() as connection:
                connection.execute(self._question)
        except (SQLAlchemyError, OSError) as error:
            raise self.unavailable(error) from None

    async def close(self) -> None:
        """Close the connections of this event loop, and those of plain code. Twice is fine.

        It opens them again when it is used again.
        """
        here = self._here()
        with here.lock:
            mine = here.engines.pop(asyncio.get_running_loop(), None)
        if mine is not None:
            await mine.dispose()
        self.close_plain()

    def close_plain(self) -> None:
        """Close the connections of plain code. Twice is fine."""
        here = self._here()
        with here.lock:
            plain, here.plain = here.plain, None
        if plain is not None:
            plain.dispose()

    @property
    def _question(self) -> sa.TextClause:
        """A cheap one for which the database has to be looked at."""
        return sa.text("SELECT 1 FROM sqlite_master" if self.kind == "sqlite" else "SELECT 1")

    def _here(self) -> _Open:
        """Return what is open in this process."""
        if self._open.pid != os.getpid():
            leave_to_parent(self._open)
            self._open = _Open()
        return self._open

    def _claim(self, here: _Open, use: str) -> None:
        """Refuse a second use of a database in memory, which would be another database."""
        if not self._address.in_memory:
            return
        others = here.used_by not in (None, use) or (use == "asyncio" and here.engines)
        require(
            not others, "database_url", "sqlite://", "a file: in memory, only one event loop or"
            " plain code can use a database",
        )  # fmt: skip
        here.used_by = use

    def _check_may_migrate(self, family: TableFamily) -> None:
        if self._migrate == "check":
            raise RecordsOutdatedError(
                f"{self._address.shown}: the tables of {family.name!r} are missing or older than"
                f" version {family.head}: run toril records migrate {family.name}"
            )

    def unavailable(self, error: Exception) -> RecordsUnavailableError:
        """Return an error of SQLAlchemy's as ours: one sentence, without the password."""
        cause = getattr(error, "orig", None) or error
        said = (str(cause).strip() or type(cause).__name__).splitlines()[0][:300]
        password = self._address.plain.password
        if password:
            said = said.replace(str(password), "***")
        return RecordsUnavailableError(f"{self._address.shown}: {said}")


class _Open:
    """The engines of one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.plain: sa.Engine | None = None
        self.engines: dict[asyncio.AbstractEventLoop, AsyncEngine] = {}
        self.prepared: set[str] = set()
        self.used_by: str | None = None


def _rebuilt(url: str, pool: PoolOptions, migrate: Migrate, file_mode: Any) -> Records:
    return Records(url, pool=pool, migrate=migrate, file_mode=file_mode)
