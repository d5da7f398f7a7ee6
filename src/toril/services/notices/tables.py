"""The tables of notices, and of chats that a bot may write to."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("notices in a database need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
TABLE = sa.Table(
    "toril_notices",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("tenant_id", sa.Text, nullable=False),
    sa.Column("type", sa.String(16), nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Column("read_at_ms", sa.BigInteger),
    sa.Index("toril_notices_by_user", "tenant_id", "user_id", "created_at_ms", "id"),
)
CHATS = sa.Table(
    "toril_chats",
    _METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("chat_id", sa.String(32), nullable=False),
)
NOTICES = TableFamily("notices", _METADATA, "toril.services.notices.migrations")
"""The family `notices`."""
