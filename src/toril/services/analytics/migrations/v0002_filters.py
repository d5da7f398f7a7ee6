"""Shops and products of events, and figures of one of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, and make the table."""
    op.add_column("toril_events", sa.Column("shop_id", sa.String(256)))
    op.add_column("toril_events", sa.Column("product_id", sa.String(256)))
    op.create_table(
        "toril_filtered_figures",
        sa.Column("user_id", sa.String(256), primary_key=True),
        sa.Column("shop_id", sa.String(256), primary_key=True),
        sa.Column("product_id", sa.String(256), primary_key=True),
        sa.Column("metric", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(16), primary_key=True),
        sa.Column("start_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("end_ms", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("value", sa.Double),
        sa.Column("computed_at_ms", sa.BigInteger, nullable=False),
    )
