"""Computes who gets what of an order: whole numbers only, rounded down, no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from toril.library.referrals.settings import WHOLE
from toril.services.referrals.port import Due

SkipReason = Literal["self_referral", "cycle", "nothing_due"]
"""Why a level earns nothing. `self_referral`: the buyer is the referrer. `cycle`: the referrer's
referrer is the buyer, or the referrer. `nothing_due`: it is less than the smallest unit."""
Skip = tuple[int, str, SkipReason]
"""A level, its referrer, and why they earn nothing."""


def share(amount_minor: int, rate_basis_points: int) -> int:
    """Return a share of an amount, rounded down to the smallest unit."""
    return amount_minor * rate_basis_points // WHOLE


def commissions(
    amount_minor: int,
    *,
    buyer_id: str,
    chain: Sequence[str],
    rates: Sequence[int],
    first_minor: int | None = None,
) -> tuple[list[Due], list[Skip]]:
    """Return what each referrer of an order gets, and which levels get nothing.

    What rounding leaves belongs to the house. All levels together never get more than the order.

    Parameters:
        amount_minor: Of the order, in the smallest unit.
        buyer_id: Who bought.
        chain: Who referred the buyer, and who referred that one, if anybody.
        rates: Of each level, in basis points.
        first_minor: What the first level gets, if it was computed elsewhere.
    """
    if chain and chain[0] == buyer_id:
        return [], [(1, buyer_id, "self_referral")]
    due: list[Due] = []
    skipped: list[Skip] = []
    left = amount_minor
    seen = {buyer_id}
    for level, (user_id, rate) in enumerate(zip(chain, rates, strict=False), start=1):
        if user_id in seen:
            skipped.append((level, user_id, "cycle"))
            break
        seen.add(user_id)
        given = first_minor if level == 1 else None
        amount = min(left, share(amount_minor, rate) if given is None else given)
        if amount == 0:
            skipped.append((level, user_id, "nothing_due"))
            continue
        left -= amount
        due.append(Due(level=level, user_id=user_id, amount_minor=amount, rate_basis_points=rate))
    return due, skipped
