"""Notices in SQLite or PostgreSQL, by SQLAlchemy.

One table, the family `notices` of `services/records`.
"""

from __future__ import annotations

from collections.abc import Sequence

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.services.notices.port import MAX_PAGE, Notice
from toril.services.notices.tables import NOTICES, TABLE

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("notices in a database need SQLAlchemy", "records") from error


class SqlNotices:
    """Fulfils `Notices`, in a database that is opened when it is first asked.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///notices.db` or `postgresql://user:password@host/database`.
        clock: Where `created_at` and `read_at` come from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
    """

    def __init__(
        self, database: Records | str, *, clock: Clock | None = None, file_mode: int = 0o600
    ) -> None:
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )
        self._clock = clock or SystemClock()

    async def add(self, notice: Notice) -> bool:
        """Store a notice: see `Notices.add`."""
        row = {
            "id": notice.id,
            "user_id": notice.user_id,
            "tenant_id": notice.tenant_id or "",
            "type": notice.type,
            "title": notice.title,
            "body": notice.body,
            "metadata": dict(notice.metadata),
            "created_at_ms": self._clock.now_ms(),
        }
        await self._records.prepare(NOTICES)
        adding = self._records.insert_missing(TABLE, row).returning(TABLE.c.id)
        async with self._records.begin() as connection:
            return (await connection.execute(adding)).first() is not None

    async def of_user(
        self,
        user_id: str,
        *,
        tenant_id: str | None = None,
        unread: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[Notice]:
        """Return a user's notices: see `Notices.of_user`."""
        require(1 <= limit <= MAX_PAGE, "limit", limit, f"1 to {MAX_PAGE}")
        place = sa.tuple_(TABLE.c.created_at_ms, TABLE.c.id)
        query = (
            sa.select(TABLE)
            .where(_of(user_id, tenant_id))
            .order_by(TABLE.c.created_at_ms.desc(), TABLE.c.id.desc())
            .limit(limit)
        )
        if unread:
            query = query.where(TABLE.c.read_at_ms.is_(None))
        if after is not None:
            last = sa.select(TABLE.c.created_at_ms, TABLE.c.id).where(TABLE.c.id == after)
            query = query.where(place < last.scalar_subquery())
        await self._records.prepare(NOTICES)
        async with self._records.reading() as connection:
            return [_notice(row) for row in (await connection.execute(query)).all()]

    async def mark_read(self, user_id: str, *notice_ids: str, tenant_id: str | None = None) -> int:
        """Note that notices were read: see `Notices.mark_read`."""
        which = _of(user_id, tenant_id) & TABLE.c.id.in_(notice_ids) & TABLE.c.read_at_ms.is_(None)
        now = {"read_at_ms": self._clock.now_ms()}
        await self._records.prepare(NOTICES)
        async with self._records.begin() as connection:
            return (await connection.execute(sa.update(TABLE).where(which).values(now))).rowcount

    async def close(self) -> None:
        """Close all connections, if they are its own. It may be used again."""
        if self._owns:
            await self._records.close()


def _of(user_id: str, tenant_id: str | None) -> sa.ColumnElement[bool]:
    return (TABLE.c.tenant_id == (tenant_id or "")) & (TABLE.c.user_id == user_id)


def _notice(row: sa.Row[tuple[object, ...]]) -> Notice:
    held = row._mapping
    read_at_ms = held["read_at_ms"]
    return Notice(
        id=held["id"],
        user_id=held["user_id"],
        tenant_id=held["tenant_id"] or None,
        type=held["type"],
        title=held["title"],
        body=held["body"],
        metadata=held["metadata"],
        created_at=moment(held["created_at_ms"]),
        read_at=None if read_at_ms is None else moment(read_at_ms),
    )
