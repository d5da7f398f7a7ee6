"""The tables of events and of the figures that are made of them."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("analytics need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
EVENTS = sa.Table(
    "toril_events",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("user_id", sa.String(256)),
    sa.Column("amount_minor", sa.BigInteger),
    sa.Column("currency", sa.String(16)),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("failed", sa.Boolean),
    sa.Column("shop_id", sa.String(256)),
    sa.Column("product_id", sa.String(256)),
    sa.Index("toril_events_by_kind", "kind", "at_ms"),
)
"""What happened: `page_view`, `purchase`, `request`, `job`, or a kind of the app's own."""
FIGURES = sa.Table(
    "toril_figures",
    _METADATA,
    sa.Column("metric", sa.String(64), primary_key=True),
    sa.Column("type", sa.String(16), primary_key=True),
    sa.Column("start_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("end_ms", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("value", sa.Double),
    sa.Column("computed_at_ms", sa.BigInteger, nullable=False),
)
"""One row for each metric and bucket. `value` is null where there is nothing to divide by."""
FILTERED_FIGURES = sa.Table(
    "toril_filtered_figures",
    _METADATA,
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
"""The same of one user's, shop's or product's events only. Empty: of all of them."""
ANALYTICS = TableFamily("analytics", _METADATA, "toril.services.analytics.migrations")
"""The family `analytics`."""
