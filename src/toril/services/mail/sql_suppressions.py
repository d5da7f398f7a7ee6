"""A list of suppressed addresses in SQLite or PostgreSQL, by SQLAlchemy.

One table, made when it is first needed. The database is asked in a thread, since its drivers wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from toril.core.clock import Clock, SystemClock, epoch_ms, moment
from toril.core.errors import InvalidOptionError, MissingExtraError
from toril.services.mail.suppressions import Reason, Suppression, new_suppression, plain

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
    from sqlalchemy.schema import CreateTable
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("suppressed addresses in a database need SQLAlchemy", "mail") from error

BUSY_TIMEOUT_S = 10.0
"""How long a SQLite writer waits for another before it gives up, in seconds."""
_AT_ONCE = 500
"""Addresses in one statement: SQLite takes only so many parameters."""

_METADATA = sa.MetaData()
_TABLE = sa.Table(
    "toril_mail_suppressions",
    _METADATA,
    sa.Column("address", sa.String(320), primary_key=True),
    sa.Column("reason", sa.String(16), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
)


class SqlSuppressions:
    """A list in a database, which several processes may share."""

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        """Open the list.

        Parameters:
            url: `sqlite:///email.db` or `postgresql://user:password@host/database`.
            clock: Where `since` comes from.

        Raises:
            InvalidOptionError: The address cannot be read, or is of another kind of database.
            MissingExtraError: The database's driver is not installed.
        """
        self._clock = clock or SystemClock()
        self._engine = _engine(url)
        self._made = False

    async def add(self, address: str, reason: Reason, *, detail: str = "") -> None:
        """See `Suppressions.add`."""
        entry = new_suppression(address, reason, detail, self._clock)
        await asyncio.to_thread(self._add, entry)

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Suppression]:
        """See `Suppressions.find`."""
        keys = {each: plain(each) for each in addresses}
        found = await asyncio.to_thread(self._find, sorted(set(keys.values())))
        return {each: found[key] for each, key in keys.items() if key in found}

    async def remove(self, address: str) -> bool:
        """See `Suppressions.remove`."""
        return await asyncio.to_thread(self._remove, plain(address))

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.to_thread(self._engine.dispose)

    def _add(self, entry: Suppression) -> None:
        self._make_table()
        values = {
            "address": entry.address,
            "reason": entry.reason,
            "detail": entry.detail,
            "since_ms": epoch_ms(entry.since),
        }
        with suppress(IntegrityError), self._engine.begin() as connection:  # it is there already
            connection.execute(sa.insert(_TABLE).values(values))

    def _find(self, keys: Sequence[str]) -> dict[str, Suppression]:
        self._make_table()
        found: dict[str, Suppression] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                for row in connection.execute(sa.select(_TABLE).where(_TABLE.c.address.in_(some))):
                    held = row._mapping
                    found[held["address"]] = Suppression(
                        address=held["address"],
                        reason=held["reason"],
                        detail=held["detail"],
                        since=moment(held["since_ms"]),
                    )
        return found

    def _remove(self, key: str) -> bool:
        self._make_table()
        with self._engine.begin() as connection:
            gone = connection.execute(sa.delete(_TABLE).where(_TABLE.c.address == key))
        return gone.rowcount > 0

    def _make_table(self) -> None:
        if self._made:
            return
        statement = CreateTable(_TABLE, if_not_exists=True)
        try:
            with self._engine.begin() as connection:
                connection.execute(statement)
        except DBAPIError:
            # In PostgreSQL two that make the same table at once collide; the second look finds it.
            with self._engine.begin() as connection:
                connection.execute(statement)
        self._made = True


def _engine(url: str) -> sa.Engine:
    # The address may hold a password: no error repeats it, not even as a cause.
    try:
        address = sa.make_url(url)
    except ArgumentError:
        raise InvalidOptionError(
            "database_url cannot be read: expected sqlite:///email.db or postgresql://host/database"
        ) from None
    kind = address.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise InvalidOptionError(
            f"database_url begins with {kind!r}: expected sqlite:/// or postgresql://"
        )
    if kind == "sqlite" and address.database in (None, "", ":memory:"):
        raise InvalidOptionError(
            "database_url names no file: expected sqlite:///email.db, or MemorySuppressions for a"
            " list that ends with its process"
        )
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        if kind == "postgresql":
            return sa.create_engine(address, hide_parameters=True, pool_pre_ping=True)
        Path(str(address.database)).parent.mkdir(parents=True, exist_ok=True)
        return sa.create_engine(
            address, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}
        )
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError(
            f"{address.drivername} needs its driver: pip install 'psycopg[binary]'"
        ) from error
