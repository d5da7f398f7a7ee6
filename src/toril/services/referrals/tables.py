"""The tables of referrals."""

from __future__ import annotations

from toril.core.extras import missing_extra

try:
    import sqlalchemy as sa
except ImportError as error:
    raise missing_extra("referrals in a database need SQLAlchemy", "records") from error

from toril.services.records.families import TableFamily

_METADATA = sa.MetaData()
REFERRERS = sa.Table(
    "toril_referrers",
    _METADATA,
    sa.Column("user_id", sa.String(256), primary_key=True),
    sa.Column("referrer_id", sa.String(256), nullable=False),
)
"""Who referred whom."""
ORDERS = sa.Table(
    "toril_referral_orders",
    _METADATA,
    sa.Column("order_id", sa.String(256), primary_key=True),
    sa.Column("buyer_id", sa.String(256), nullable=False),
    sa.Column("currency", sa.String(16), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("paid_by", sa.String(64)),
    sa.Column("refunded_by", sa.String(64)),
)
"""Orders that were dealt with: a row makes it once for ever."""
ENTRIES = sa.Table(
    "toril_commissions",
    _METADATA,
    sa.Column("order_id", sa.String(256), primary_key=True),
    sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("user_id", sa.String(256), nullable=False),
    sa.Column("buyer_id", sa.String(256), nullable=False),
    sa.Column("currency", sa.String(16), nullable=False),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("rate_basis_points", sa.Integer, nullable=False),
    sa.Column("booked_at_ms", sa.BigInteger, nullable=False),
    sa.Index("toril_commissions_by_user", "user_id", "currency", "buyer_id"),
)
"""Lines of accounts: added, never changed."""
BALANCES = sa.Table(
    "toril_referral_balances",
    _METADATA,
    sa.Column("user_id", sa.String(256), primary_key=True),
    sa.Column("currency", sa.String(16), primary_key=True),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("referrals", sa.BigInteger, nullable=False),
    sa.Column("orders", sa.BigInteger, nullable=False),
    sa.Column("earned_minor", sa.BigInteger, nullable=False),
    sa.Column("refunded_minor", sa.BigInteger, nullable=False),
)
"""The balance of each referrer and currency, and what they achieved."""
PAYOUTS = sa.Table(
    "toril_referral_payouts",
    _METADATA,
    sa.Column("payout_id", sa.String(256), primary_key=True),
    sa.Column("user_id", sa.String(256), primary_key=True),
    sa.Column("currency", sa.String(16), primary_key=True),
    sa.Column("amount_minor", sa.BigInteger, nullable=False),
    sa.Column("start_ms", sa.BigInteger, nullable=False),
    sa.Column("end_ms", sa.BigInteger, nullable=False),
    sa.Column("method", sa.String(64)),
    sa.Column("booked_by", sa.String(64), nullable=False),
    sa.Column("booked_at_ms", sa.BigInteger, nullable=False),
    sa.Index("toril_referral_payouts_by_user", "user_id", "currency"),
)
"""Payments: a row makes one once for ever. Added, never changed."""
REFERRALS = TableFamily("referrals", _METADATA, "toril.services.referrals.migrations")
"""The family `referrals`."""
