"""Media records in SQLite or PostgreSQL, by SQLAlchemy.

One table, the family `media` of `services/records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, epoch_ms, moment
from toril.services.media.records import MediaPlace, MediaRecord, MediaStatus, StoredVariant
from toril.services.media.tables import MEDIA, TABLE

try:
    import sqlalchemy as sa

    from toril.services.records.records import Records
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("media records need SQLAlchemy", "media") from error

MAX_PAGE = 1000
"""Most records that are returned at once."""


class SqlMediaRecords:
    """Media records in a database.

    Parameters:
        database: A database that is open; it stays open when this is closed. Or the URL of one:
            `sqlite:///media.db`, `sqlite://` (memory, gone with this object) or
            `postgresql://user:password@host/database`.
        clock: Where `created_at` and `updated_at` come from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The URL cannot be read, or is of another kind of database.
        MissingExtraError: The database's driver is not installed.
    """

    def __init__(
        self,
        database: Records | str,
        *,
        clock: Clock | None = None,
        file_mode: int = 0o600,
    ) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._owns = isinstance(database, str)
        self._records = (
            Records(database, file_mode=file_mode) if isinstance(database, str) else database
        )
        self._records.prepare_plain(MEDIA)

    def save(self, record: MediaRecord) -> MediaRecord:
        """Store a record, replacing the one of the same id."""
        now_ms = self._clock.now_ms()
        values = {
            "id": record.media_id,
            "entity_type": record.entity_type,
            "original_filename": record.original_filename,
            "user_id": record.user_id,
            "metadata": dict(record.metadata),
            "original_bytes": record.original_bytes,
            "source_path": record.source_path,
            "variants": [_plain(variant) for variant in record.variants],
            "status": record.status.value,
            "place": record.place.value,
            "created_at_ms": now_ms,
            "updated_at_ms": now_ms,
            "deleted_at_ms": None if record.deleted_at is None else epoch_ms(record.deleted_at),
        }
        statement = self._records.upsert(TABLE, values, keep=("created_at_ms",))
        with self._records.begin_plain() as connection:
            return _record(connection.execute(statement.returning(*TABLE.c)).one())

    def find(self, media_id: str) -> MediaRecord | None:
        """Return the record of this id."""
        with self._records.reading_plain() as connection:
            row = connection.execute(sa.select(TABLE).where(TABLE.c.id == media_id)).first()
        return None if row is None else _record(row)

    def list(
        self,
        *,
        entity_type: str | None = None,
        status: MediaStatus | None = None,
        deleted_before: datetime | None = None,
        after: str | None = None,
        limit: int = 500,
    ) -> Sequence[MediaRecord]:
        """Return records in the order of their ids."""
        require(1 <= limit <= MAX_PAGE, "limit", limit, f"1 to {MAX_PAGE}")
        query = sa.select(TABLE).order_by(TABLE.c.id).limit(limit)
        if entity_type is not None:
            query = query.where(TABLE.c.entity_type == entity_type)
        if status is not None:
            query = query.where(TABLE.c.status == status.value)
        if deleted_before is not None:
            query = query.where(TABLE.c.deleted_at_ms < epoch_ms(deleted_before))
        if after is not None:
            query = query.where(TABLE.c.id > after)
        with self._records.reading_plain() as connection:
            return [_record(row) for row in connection.execute(query)]

    def move(self, record: MediaRecord, place: MediaPlace) -> MediaRecord | None:
        """Note where the files are now, unless the record has changed since it was read."""
        changing = sa.update(TABLE).where(TABLE.c.id == record.media_id).values(place=place.value)
        with self._records.begin_plain() as connection:
            if not _is_unchanged(connection, record):
                return None
            return _record(connection.execute(changing.returning(*TABLE.c)).one())

    def soft_delete(self, media_id: str) -> MediaRecord | None:
        """Take a media away from the public."""
        now_ms = self._clock.now_ms()
        ready = (TABLE.c.id == media_id) & (TABLE.c.status != MediaStatus.SOFT_DELETED.value)
        changing = (
            sa.update(TABLE)
            .where(ready)
            .values(
                status=MediaStatus.SOFT_DELETED.value, deleted_at_ms=now_ms, updated_at_ms=now_ms
            )
        )
        with self._records.begin_plain() as connection:
            connection.execute(changing)
        return self.find(media_id)

    def remove(self, record: MediaRecord) -> bool:
        """Remove a record, unless it has changed since it was read."""
        with self._records.begin_plain() as connection:
            if not _is_unchanged(connection, record):
                return False
            connection.execute(sa.delete(TABLE).where(TABLE.c.id == record.media_id))
        return True

    def close(self) -> None:
        """Close all connections, if they are its own."""
        if self._owns:
            self._records.close_plain()


def _is_unchanged(connection: sa.Connection, record: MediaRecord) -> bool:
    """Whether a record is as it was read. It stays so until the transaction ends."""
    query = sa.select(TABLE).where(TABLE.c.id == record.media_id).with_for_update()
    row = connection.execute(query).first()
    return row is not None and _record(row) == record


def _plain(variant: StoredVariant) -> dict[str, object]:
    held = asdict(variant)
    if variant.clean is None:  # so that an older release can read what has no mark
        del held["clean"]
    return held


def _record(row: sa.Row[tuple[object, ...]]) -> MediaRecord:
    held = row._mapping
    return MediaRecord(
        media_id=held["id"],
        entity_type=held["entity_type"],
        original_filename=held["original_filename"],
        user_id=held["user_id"],
        metadata=held["metadata"],
        original_bytes=held["original_bytes"],
        source_path=held["source_path"],
        variants=tuple(StoredVariant(**variant) for variant in held["variants"]),
        status=MediaStatus(held["status"]),
        place=MediaPlace(held["place"]),
        created_at=_moment(held["created_at_ms"]),
        updated_at=_moment(held["updated_at_ms"]),
        deleted_at=_moment(held["deleted_at_ms"]),
    )


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else moment(at_ms)
