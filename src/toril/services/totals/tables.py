"""The tables of totals: counts, and the histograms of durations, a row for each bucket.

Counts are sums that the database adds up itself, so that any number of processes may add.
"""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("totals in a database need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
COUNTS = sa.Table(
    "toril_job_totals",
    _METADATA,
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
RUNS = sa.Table(
    "toril_job_total_runs",
    _METADATA,
    sa.Column("queue", sa.Text, primary_key=True),
    sa.Column("type", sa.Text, primary_key=True),
    sa.Column("tenant_id", sa.Text, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("many", sa.BigInteger, nullable=False),
)
TOTALS = TableFamily("totals", _METADATA, "toril.services.totals.migrations")
"""The family `totals`."""
