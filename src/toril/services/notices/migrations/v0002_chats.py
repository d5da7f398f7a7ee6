"""Chats that a bot may write to, by their names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "toril_chats",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("chat_id", sa.String(32), nullable=False),
    )
