"""Commissions of referrers: `app.include(referrals)` of `tasks.py`, with `Referrals` provided."""

from toril.library.referrals.decimals import from_decimals, payout_from_decimals
from toril.library.referrals.payloads import (
    BookedCommission,
    CommissionResult,
    PaidCurrency,
    PayoutResult,
    SkippedLevel,
)
from toril.library.referrals.settings import ReferralSettings

__all__ = [
    "BookedCommission",
    "CommissionResult",
    "PaidCurrency",
    "PayoutResult",
    "ReferralSettings",
    "SkippedLevel",
    "from_decimals",
    "payout_from_decimals",
]
