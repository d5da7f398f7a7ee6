"""Pays out what referrers earned, account by account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import ROUND_CEILING, Decimal

from toril.services.money import minor_digits
from toril.services.referrals.port import PaidOut, Payout, Referrals

PAGE = 500
"""Accounts that are read at once."""
Account = tuple[str, str]
"""A user and a currency."""


def least_minor(minimum: str, currency: str) -> int:
    """Return a minimum in a currency's smallest unit, rounded up, at least 1.

    A currency that is no ISO code and no known coin is taken to have no digits after the point.
    """
    try:
        digits = minor_digits(currency)
    except ValueError:
        digits = 0
    return max(1, int(Decimal(minimum).scaleb(digits).to_integral_value(ROUND_CEILING)))


async def pay_all(
    store: Referrals, payout: Payout, *, user_id: str | None, minimum: str, key: str
) -> AsyncIterator[PaidOut | None]:
    """Book each account's payment, and give it; None where there is less than the minimum.

    Those that the payout booked before are given too.

    Parameters:
        store: Where the accounts are.
        payout: Which.
        user_id: Whom to pay; None: all.
        minimum: In whole units of each currency.
        key: Who pays: the same in each attempt of a job.
    """
    before = {(one.user_id, one.currency) for one in await store.payouts(payout.payout_id)}
    for account in sorted(before):
        if user_id in (None, account[0]):
            yield await _pay(store, payout, account, minimum, key)
    after: Account = ("", "")
    while accounts := await store.accounts(user_id, after=after, limit=PAGE):
        for account in accounts:
            if account not in before:
                yield await _pay(store, payout, account, minimum, key)
        after = accounts[-1]


async def _pay(
    store: Referrals, payout: Payout, account: Account, minimum: str, key: str
) -> PaidOut | None:
    least = least_minor(minimum, account[1])
    return await store.pay_out(payout, *account, least_minor=least, key=key)
