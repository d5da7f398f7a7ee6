"""The table of files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "toril_files",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("path", sa.Text),
        sa.Column("processed", sa.Boolean, nullable=False),
        sa.Column("urls", sa.JSON, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
    )
