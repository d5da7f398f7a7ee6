"""The tables of media, and of files."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("media records need SQLAlchemy", "media") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
TABLE = sa.Table(
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
    sa.Column("place", sa.String(8), nullable=False, server_default="local"),
    sa.Index("toril_media_by_status", "status", "id"),
)
FILES = sa.Table(
    "toril_files",
    _METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("path", sa.Text),
    sa.Column("processed", sa.Boolean, nullable=False),
    sa.Column("urls", sa.JSON, nullable=False),
    sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
)
MEDIA = TableFamily("media", _METADATA, "toril.services.media.migrations")
"""The family `media`."""
