"""Suppressed addresses in SQLite or PostgreSQL, by SQLAlchemy.

One table, the family `mail` of `services/records`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from toril.core.clock import Clock, SystemClock, epoch_ms, moment
from toril.core.errors import InvalidOptionError
from toril.services.mail.suppressions import Reason, Suppression, new_suppression, plain
from toril.services.mail.tables import MAIL, TABLE

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("suppressed addresses in a database need SQLAlchemy", "mail") from error

_AT_ONCE = 500
"""Addresses in one statement: SQLite takes only so many parameters."""
_MEMORY = re.compile(r"sqlite(\+\w+)?:/{0,3}(:memory:)?")


class SqlSuppressions:
    """A list in a database, which several processes may share. It connects when it is used.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///email.db` or `postgresql://user:password@host/database`.
        clock: Where `since` comes from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or the database would end with this process.
    """

    def __init__(
        self, database: Records | str, *, clock: Clock | None = None, file_mode: int = 0o600
    ) -> None:
        if isinstance(database, str) and _MEMORY.fullmatch(database):
            raise InvalidOptionError(
                "database_url names no file: expected sqlite:///email.db, or MemorySuppressions for"
                " a list that ends with its process"
            )
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )
        self._clock = clock or SystemClock()

    async def add(self, address: str, reason: Reason, *, detail: str = "") -> None:
        """See `Suppressions.add`."""
        entry = new_suppression(address, reason, detail, self._clock)
        row = {
            "address": entry.address,
            "reason": entry.reason,
            "detail": entry.detail,
            "since_ms": epoch_ms(entry.since),
        }
        await self._records.prepare(MAIL)
        async with self._records.begin() as connection:
            await connection.execute(self._records.insert_missing(TABLE, row))

    async def find(self, addresses: Sequence[str]) -> Mapping[str, Suppression]:
        """See `Suppressions.find`."""
        keys = {each: plain(each) for each in addresses}
        found = await self._find(sorted(set(keys.values())))
        return {each: found[key] for each, key in keys.items() if key in found}

    async def remove(self, address: str) -> bool:
        """See `Suppressions.remove`."""
        await self._records.prepare(MAIL)
        this = sa.delete(TABLE).where(TABLE.c.address == plain(address))
        async with self._records.begin() as connection:
            return (await connection.execute(this)).rowcount > 0

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()

    async def _find(self, keys: Sequence[str]) -> dict[str, Suppression]:
        await self._records.prepare(MAIL)
        found: dict[str, Suppression] = {}
        async with self._records.reading() as connection:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                query = sa.select(TABLE).where(TABLE.c.address.in_(some))
                for row in (await connection.execute(query)).all():
                    held = row._mapping
                    found[held["address"]] = Suppression(
                        address=held["address"],
                        reason=held["reason"],
                        detail=held["detail"],
                        since=moment(held["since_ms"]),
                    )
        return found
