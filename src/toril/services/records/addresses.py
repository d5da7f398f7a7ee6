"""Reads the URL of a database. Errors never repeat it: it may hold a password."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toril.core.errors import InvalidOptionError

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("records need SQLAlchemy", "records") from error

DatabaseKind = Literal["sqlite", "postgresql"]

_EXPECTED = "expected sqlite:///records.db or postgresql://user:password@host/database"
_DRIVERS = {
    "sqlite": ("pysqlite", "aiosqlite"),
    "postgresql": ("psycopg", "psycopg"),
}
"""By kind: for plain code, and for asyncio."""


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A database, and by which drivers it is reached."""

    kind: DatabaseKind
    plain: sa.URL
    """For plain code."""
    asynchronous: sa.URL
    """For asyncio."""

    @property
    def in_memory(self) -> bool:
        """Whether it is gone with its connection."""
        name = self.plain.database or ""
        return self.kind == "sqlite" and (name in ("", ":memory:") or "mode=memory" in name)

    @property
    def file(self) -> Path | None:
        """The file of SQLite."""
        name = self.plain.database or ""
        if self.kind != "sqlite" or self.in_memory or name.startswith("file:"):
            return None
        return Path(name)

    @property
    def shown(self) -> str:
        """For people: without the password."""
        plain = self.plain.set(drivername=self.kind, query={})
        return plain.render_as_string(hide_password=True)


def parse_address(url: str, *, name: str = "database_url") -> DatabaseAddress:
    """Return the database that a URL names.

    Parameters:
        url: `sqlite:///records.db`, `sqlite://` (in memory), or
            `postgresql://user:password@host/database`. A driver may be named:
            `postgresql+asyncpg://`, which plain code is served by psycopg beside.
        name: What the caller calls the URL, for the error.

    Raises:
        InvalidOptionError: It cannot be read, or is of another kind of database.
    """
    try:
        address = sa.make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, AttributeError, ValueError):
        raise InvalidOptionError(f"{name} cannot be read: {_EXPECTED}") from None
    found = address.get_backend_name()
    if found == "sqlite":
        kind: DatabaseKind = "sqlite"
    elif found == "postgresql":
        kind = "postgresql"
    else:
        raise InvalidOptionError(
            f"{name} begins with {found!r}: expected sqlite:/// or postgresql://"
        )
    plain, asynchronous = _DRIVERS[kind]
    _, plus, named = address.drivername.partition("+")
    if named == "asyncpg":
        asynchronous = named
    elif plus and named not in ("pysqlite", "aiosqlite", "psycopg"):
        plain = asynchronous = named
    return DatabaseAddress(
        kind,
        address.set(drivername=f"{kind}+{plain}"),
        address.set(drivername=f"{kind}+{asynchronous}"),
    )


def make_file(path: Path, mode: int) -> None:
    """Make an empty database; its journal gets the same mode. One that is there stays as it is.

    Only ever a file that nobody has open: closing a descriptor of one that SQLite uses in this
    process would drop SQLite's locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(fd, mode)  # whatever the umask says
        finally:
            os.close(fd)
