"""Media records in SQLite or PostgreSQL, by SQLAlchemy.

One table, made when it is first needed. Only SQL that SQLAlchemy spells for both.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from toril.core.clock import Clock, SystemClock, epoch_ms, moment
from toril.core.errors import InvalidOptionError, MissingExtraError
from toril.services.media.records import MediaRecord, MediaStatus, StoredVariant

try:
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
    from sqlalchemy.schema import CreateIndex, CreateTable
except ImportError as error:
    from toril.core.extras import missing_extra

    raise missing_extra("media records need SQLAlchemy", "media") from error

BUSY_TIMEOUT_S = 10.0
"""How long a SQLite writer waits for another before it gives up, in seconds."""

_METADATA = sa.MetaData()
_MEDIA = sa.Table(
    "toril_media",
    _METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("entity_type", sa.String(64), nullable=False),
    sa.Column("original_filename", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("original_bytes", sa.BigInteger, nullable=False),
    sa.Column("source_path", sa.Text, nullable=False),
    sa.Column("variants", sa.JSON, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    sa.Column("deleted_at_ms", sa.BigInteger),
)


class SqlMediaRecords:
    """Media records in a database.

    Parameters:
        url: `sqlite:///media.db`, `sqlite://` (memory, gone with this object) or
            `postgresql://user:password@host/database`.
        clock: Where `created_at` and `updated_at` come from.
        file_mode: Who may read and write a SQLite file that is made. Default: its user only.

    Raises:
        InvalidOptionError: The address cannot be read, or is of another kind of database.
        MissingExtraError: The database's driver is not installed.
    """

    def __init__(self, url: str, *, clock: Clock | None = None, file_mode: int = 0o600) -> None:
        self._clock = clock if clock is not None else SystemClock()
        self._engine = open_engine(url, file_mode)
        make_table(self._engine, _MEDIA)

    def save(self, record: MediaRecord) -> MediaRecord:
        """Store a record, replacing the one of the same id."""
        try:
            return self._replace(record)
        except IntegrityError:
            # Somebody added the same id between our update and our insert: now it can be updated.
            return self._replace(record)

    def _replace(self, record: MediaRecord) -> MediaRecord:
        now_ms = self._clock.now_ms()
        values = {
            "entity_type": record.entity_type,
            "original_filename": record.original_filename,
            "user_id": record.user_id,
            "metadata": dict(record.metadata),
            "original_bytes": record.original_bytes,
            "source_path": record.source_path,
            "variants": [asdict(variant) for variant in record.variants],
            "status": record.status.value,
            "updated_at_ms": now_ms,
            "deleted_at_ms": None if record.deleted_at is None else epoch_ms(record.deleted_at),
        }
        this = _MEDIA.c.id == record.media_id
        with self._engine.begin() as connection:
            # The write comes first: in SQLite a transaction that has read cannot wait to write.
            if connection.execute(sa.update(_MEDIA).where(this).values(values)).rowcount == 0:
                new = {"id": record.media_id, "created_at_ms": now_ms, **values}
                connection.execute(sa.insert(_MEDIA).values(new))
            return _record(connection.execute(sa.select(_MEDIA).where(this)).one())

    def find(self, media_id: str) -> MediaRecord | None:
        """Return the record of this id."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_MEDIA).where(_MEDIA.c.id == media_id)).first()
        return None if row is None else _record(row)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


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
        created_at=_moment(held["created_at_ms"]),
        updated_at=_moment(held["updated_at_ms"]),
        deleted_at=_moment(held["deleted_at_ms"]),
    )


def _moment(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else moment(at_ms)


def open_engine(url: str, file_mode: int) -> sa.Engine:
    """Return an engine of a SQLite file or PostgreSQL; errors as `SqlMediaRecords`."""
    # The address may hold a password: no error repeats it, not even as a cause.
    try:
        address = sa.make_url(url)
    except ArgumentError:
        raise InvalidOptionError(
            "database_url cannot be read: expected sqlite:///media.db or postgresql://host/database"
        ) from None
    kind = address.get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise InvalidOptionError(
            f"database_url begins with {kind!r}: expected sqlite:/// or postgresql://"
        )
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    try:
        # hide_parameters: what people uploaded has no place in error texts and logs.
        if kind == "postgresql":
            return sa.create_engine(address, hide_parameters=True, pool_pre_ping=True)
        return _sqlite_engine(address, file_mode)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError(
            f"{address.drivername} needs its driver: pip install 'psycopg[binary]'"
        ) from error


def _sqlite_engine(address: sa.URL, file_mode: int) -> sa.Engine:
    if address.database and address.database != ":memory:":
        if not address.database.startswith("file:"):
            _make_file(Path(address.database), file_mode)
        # The rollback journal and full synchronisation are SQLite's defaults and stay: several
        # processes may write, each waiting for the others, and what is saved survives a power cut.
        # WAL is not used: with several processes it can corrupt the file in SQLite before 3.51.3,
        # which most Pythons still bring, and one small write per image has nothing to gain from it.
        return sa.create_engine(
            address, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}
        )
    # One connection that the threads take in turn: each one more would be a database of its own.
    return sa.create_engine(
        address,
        hide_parameters=True,
        poolclass=sa.QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )


def _make_file(path: Path, mode: int) -> None:
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


def make_table(engine: sa.Engine, table: sa.Table) -> None:
    """Make a table with its indexes, unless they are there."""
    statements: list[sa.schema.ExecutableDDLElement] = [
        CreateTable(table, if_not_exists=True),
        *(CreateIndex(index, if_not_exists=True) for index in table.indexes),
    ]
    try:
        _run(engine, statements)
    except DBAPIError:
        # PostgreSQL lets two that create the same table at once collide; the second look finds it.
        _run(engine, statements)


def _run(engine: sa.Engine, statements: Sequence[sa.schema.ExecutableDDLElement]) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(statement)
