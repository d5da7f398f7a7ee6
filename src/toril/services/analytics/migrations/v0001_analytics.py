"""The tables of analytics."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "toril_events",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.String(256)),
        sa.Column("amount_minor", sa.BigInteger),
        sa.Column("currency", sa.String(16)),
        sa.Column("duration_ms", sa.BigInteger),
        sa.Column("failed", sa.Boolean),
    )
    op.create_index("toril_events_by_kind", "toril_events", ["kind", "at_ms"])
    op.create_table(
        "toril_figures",
        sa.Column("metric", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(16), primary_key=True),
        sa.Column("start_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("end_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Double),
        sa.Column("computed_at_ms", sa.BigInteger, nullable=False),
    )
