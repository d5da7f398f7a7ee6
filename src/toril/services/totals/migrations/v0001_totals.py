"""The tables of totals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "toril_job_totals",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("completed", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("retried", sa.BigInteger, nullable=False),
        sa.Column("run_ms", sa.Float, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_job_id", sa.Text),
        sa.Column("error_at_ms", sa.BigInteger),
    )
    op.create_table(
        "toril_job_total_runs",
        sa.Column("queue", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, primary_key=True),
        sa.Column("tenant_id", sa.Text, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("many", sa.BigInteger, nullable=False),
    )
