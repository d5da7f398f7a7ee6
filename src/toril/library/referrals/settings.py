"""What is the same for all commissions of an app."""

from __future__ import annotations

import re
from dataclasses import dataclass

from toril.core.checks import is_whole, require

WHOLE = 10_000
"""Basis points of the whole: 100 %."""
MOST_LEVELS = 2
MINIMUM = r"^[0-9]{1,12}(\.[0-9]{1,18})?$"
"""A decimal as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralSettings:
    """How commissions are computed, and who is told of them."""

    rates_basis_points: tuple[int, ...] = (1000, 200)
    """What each level gets, in hundredths of a percent: 10 % for who referred the buyer, 2 % for
    who referred that one. One number: a single level."""
    earned_task: str | None = None
    """The name of a task of the app that is added for each commission, in the step that completes
    the job. It gets `{userId, orderId, level, amountMinor, currency}`. None: nobody is told."""

    minimum_payout: str = "50"
    """In whole units of each currency: what is less stays in the balance until the next payout."""
    payout_task: str | None = None
    """The name of a task of the app that is added when a payout has booked payments, in the step
    that completes the job: the one that moves the money. It gets `{payoutId, payouts,
    paymentMethod}`, and reads the payments by `Referrals.payouts`. None: nobody is told."""

    def __post_init__(self) -> None:
        rates = self.rates_basis_points
        good = 1 <= len(rates) <= MOST_LEVELS and all(
            is_whole(one) and 0 <= one <= WHOLE for one in rates
        )
        expected = "one or two whole numbers from 0 to 10000, at most 10000 together"
        require(good and sum(rates) <= WHOLE, "rates_basis_points", rates, expected)
        named = self.earned_task is None or bool(self.earned_task)
        require(named, "earned_task", self.earned_task, "a task's name, or None")
        decimal = re.fullmatch(MINIMUM, self.minimum_payout) is not None
        require(decimal, "minimum_payout", self.minimum_payout, "a decimal text such as 49.90")
        named = self.payout_task is None or bool(self.payout_task)
        require(named, "payout_task", self.payout_task, "a task's name, or None")
