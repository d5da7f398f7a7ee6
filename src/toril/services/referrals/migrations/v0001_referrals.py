"""The tables of referrals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "toril_referrers",
        sa.Column("user_id", sa.String(256), primary_key=True),
        sa.Column("referrer_id", sa.String(256), nullable=False),
    )
    op.create_table(
        "toril_referral_orders",
        sa.Column("order_id", sa.String(256), primary_key=True),
        sa.Column("buyer_id", sa.String(256), nullable=False),
        sa.Column("currency", sa.String(16), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("paid_by", sa.String(64)),
        sa.Column("refunded_by", sa.String(64)),
    )
    op.create_table(
        "toril_commissions",
        sa.Column("order_id", sa.String(256), primary_key=True),
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("buyer_id", sa.String(256), nullable=False),
        sa.Column("currency", sa.String(16), nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("rate_basis_points", sa.Integer, nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "toril_commissions_by_user", "toril_commissions", ["user_id", "currency", "buyer_id"]
    )
    op.create_table(
        "toril_referral_balances",
        sa.Column("user_id", sa.String(256), primary_key=True),
        sa.Column("currency", sa.String(16), primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("referrals", sa.BigInteger, nullable=False),
        sa.Column("orders", sa.BigInteger, nullable=False),
        sa.Column("earned_minor", sa.BigInteger, nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, nullable=False),
    )
