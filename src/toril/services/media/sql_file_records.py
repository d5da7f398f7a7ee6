"""Files' records in SQLite or PostgreSQL: the table `toril_files` of the family `media`."""

from __future__ import annotations

from collections.abc import Mapping

from toril.core.clock import Clock, SystemClock
from toril.services.media.file_records import FileRecord
from toril.services.media.tables import FILES, MEDIA

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("files' records need SQLAlchemy", "records") from error


class SqlFileRecords:
    """Files' records in a database.

    Parameters:
        records: The database. It stays open.
        clock: Where `updated_at_ms` comes from.
    """

    def __init__(self, records: Records, *, clock: Clock | None = None) -> None:
        self._records = records
        self._clock = clock if clock is not None else SystemClock()

    async def add(self, record: FileRecord) -> None:
        """Keep a record; it replaces the one of the same id."""
        await self._records.prepare(MEDIA)
        values = {
            "id": record.file_id,
            "path": record.path,
            "processed": record.processed,
            "urls": dict(record.urls),
            "updated_at_ms": self._clock.now_ms(),
        }
        async with self._records.begin() as connection:
            await connection.execute(self._records.upsert(FILES, values))

    async def remove(self, file_id: str) -> None:
        """Remove a record, if it is there."""
        await self._records.prepare(MEDIA)
        async with self._records.begin() as connection:
            await connection.execute(sa.delete(FILES).where(FILES.c.id == file_id))

    async def find(self, file_id: str) -> FileRecord | None:
        """Return the record of a file."""
        await self._records.prepare(MEDIA)
        async with self._records.reading() as connection:
            found = await connection.execute(sa.select(FILES).where(FILES.c.id == file_id))
            row = found.first()
        if row is None:
            return None
        return FileRecord(file_id=row.id, path=row.path, processed=row.processed, urls=row.urls)

    async def save_processed(self, file_id: str, urls: Mapping[str, str]) -> bool:
        """Set a file's `processed` and its URLs."""
        await self._records.prepare(MEDIA)
        mine = FILES.c.id == file_id
        async with self._records.begin() as connection:
            # Locked on PostgreSQL, so that two kinds of work on one file both keep their URLs; on
            # SQLite the transaction is the only one that writes.
            found = await connection.execute(sa.select(FILES.c.urls).where(mine).with_for_update())
            before = found.scalar_one_or_none()
            if before is None:
                return False
            values = {
                "processed": True,
                "urls": {**before, **urls},
                "updated_at_ms": self._clock.now_ms(),
            }
            await connection.execute(sa.update(FILES).where(mine).values(values))
        return True
