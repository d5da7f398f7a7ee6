"""What `referrals.commission` takes and gives back, under its producers' camelCase names."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from toril.library.referrals.settings import MINIMUM

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
BasisPoints = Annotated[int, msgspec.Meta(ge=0, le=10_000)]
Minimum = Annotated[str, msgspec.Meta(pattern=MINIMUM)]
Method = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Moment = Annotated[str, msgspec.Meta(min_length=10, max_length=40)]
EventType = Literal["order_paid", "order_refunded"]
NotPaid = Literal["self_referral", "cycle", "nothing_due", "refunded", "not_paid"]
"""Why a level earns nothing. `refunded`: the order was refunded before it was booked. `not_paid`: a
refund of an order that earned nobody anything."""


class BookedCommission(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the order."""

    level: int
    user_id: str
    amount_minor: int
    """Below 0 for a refund."""
    rate_basis_points: int


class SkippedLevel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A level that earns nothing."""

    level: int
    user_id: str | None
    reason: NotPaid


class CommissionResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `referrals.commission` returns."""

    order_id: str
    event_type: EventType
    currency: str
    booked: bool
    """Whether this job booked it. False: another one had, and nothing was changed."""
    entries: list[BookedCommission]
    """Of this event: the commissions of a paid order, or their opposites."""
    skipped: list[SkippedLevel]
    """Levels that earn nothing, and why. Empty if another job had booked."""


class PaidCurrency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All payments of a payout in one currency."""

    currency: str
    payouts: int
    amount_minor: int


class PayoutResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `referrals.payout` returns."""

    payout_id: str
    period_start: str
    """The first moment, in UTC."""
    period_end: str
    """The first moment after it, in UTC."""
    booked: int
    """Payments that this job booked; the others of `paid` another job had."""
    paid: list[PaidCurrency]
    """By currency."""
    below_minimum: int
    """Accounts with less to pay; it stays in their balance."""
