"""What referrers were paid."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "toril_referral_payouts",
        sa.Column("payout_id", sa.String(256), primary_key=True),
        sa.Column("user_id", sa.String(256), primary_key=True),
        sa.Column("currency", sa.String(16), primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("start_ms", sa.BigInteger, nullable=False),
        sa.Column("end_ms", sa.BigInteger, nullable=False),
        sa.Column("method", sa.String(64)),
        sa.Column("booked_by", sa.String(64), nullable=False),
        sa.Column("booked_at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index(
        "toril_referral_payouts_by_user", "toril_referral_payouts", ["user_id", "currency"]
    )
