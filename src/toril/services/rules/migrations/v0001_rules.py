"""The tables of rules, scenarios and runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "toril_rules",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_index("toril_rules_by_event", "toril_rules", ["event", "id"])
    op.create_table(
        "toril_scenarios",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("body", sa.JSON, nullable=False),
    )
    op.create_table(
        "toril_scenario_runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("active", sa.Text, unique=True),
        sa.Column("scenario_id", sa.String(128), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.JSON, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
    )
    op.create_index(
        "toril_scenario_runs_by_subject", "toril_scenario_runs", ["subject", "state", "id"]
    )
