"""The table of media. Before there were versions it was made without one: then it stays."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "toril_media",
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
        if_not_exists=True,
    )
