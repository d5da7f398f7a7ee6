"""The table of push subscriptions."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("subscriptions in a database need SQLAlchemy", "push") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
TABLE = sa.Table(
    "toril_push_subscriptions",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False),
    sa.Column("p256dh", sa.Text, nullable=False),
    sa.Column("auth", sa.Text, nullable=False),
    sa.Column("created_at_ms", sa.BigInteger, nullable=False),
    sa.Index("toril_push_subscriptions_by_user", "user_id", "created_at_ms"),
)
PUSH = TableFamily("push", _METADATA, "toril.services.push.migrations")
"""The family `push`."""
