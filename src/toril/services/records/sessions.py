"""Sessions of an application's users in a table: what `expired_sessions` of a cleanup removes."""

from __future__ import annotations

from toril.core.checks import require
from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("records need SQLAlchemy", "records") from error

from toril.services.records.records import Records


class SessionTable:
    """A table of sessions, which the application writes; made if it is not there.

    Parameters:
        records: The database.
        table: Its name.
        used_at: The column that says when a session was used last, in milliseconds since 1970.

    Raises:
        InvalidOptionError: A name is none.
    """

    def __init__(
        self, records: Records, table: str = "sessions", *, used_at: str = "used_at_ms"
    ) -> None:
        for option, name in (("table", table), ("used_at", used_at)):
            require(name.isidentifier(), option, name, "the name of one")
        self._records = records
        self._metadata = sa.MetaData()
        self.table = sa.Table(
            table,
            self._metadata,
            sa.Column("id", sa.String(128), primary_key=True),
            sa.Column("user_id", sa.Text),
            sa.Column(used_at, sa.BigInteger, nullable=False, index=True),
        )
        """With the columns `id`, `user_id` and `used_at`."""
        self._used_at = self.table.c[used_at]

    async def prepare(self) -> None:
        """Make the table if it is not there."""
        async with self._records.begin() as connection:
            await connection.run_sync(self._metadata.create_all)

    async def remove_expired(self, *, before_s: float, dry_run: bool) -> int:
        """Remove sessions that nobody used since a moment: see `SessionStore.remove_expired`."""
        await self.prepare()
        old = self._used_at < round(before_s * 1000)
        async with self._records.begin() as connection:
            if dry_run:
                counting = sa.select(sa.func.count()).select_from(self.table).where(old)
                return int((await connection.execute(counting)).scalar_one())
            return (await connection.execute(sa.delete(self.table).where(old))).rowcount
