"""The tables of rules, scenarios and runs."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("rules in a database need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
RULE_TABLE = sa.Table(
    "toril_rules",
    _METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Index("toril_rules_by_event", "event", "id"),
)
SCENARIOS = sa.Table(
    "toril_scenarios",
    _METADATA,
    sa.Column("id", sa.String(128), primary_key=True),
    sa.Column("body", sa.JSON, nullable=False),
)
RUNS = sa.Table(
    "toril_scenario_runs",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("active", sa.Text, unique=True),
    sa.Column("scenario_id", sa.String(128), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("steps", sa.JSON, nullable=False),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Index("toril_scenario_runs_by_subject", "subject", "state", "id"),
)
RULES = TableFamily("rules", _METADATA, "toril.services.rules.migrations")
"""The family `rules`."""
