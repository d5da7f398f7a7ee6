"""Takes payloads whose amounts are decimals: an adapter for `app.bind`.

```python
app.bind("referral-commission", commission, names="calculate-commission",
         adapter=from_decimals, rename="camel")
```
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from toril.library.referrals.settings import MINIMUM, WHOLE
from toril.services.money import to_minor


def from_decimals(
    purchase_id: str,
    buyer_id: str,
    referrer_id: str,
    amount: float | str,
    currency: str,
    commission_amount: float | str | None = None,
    commission_rate: float | str | None = None,
    referral_id: str | None = None,
    product_id: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of `referrals.commission`. A given commission is booked as it is.

    Parameters:
        purchase_id: The order.
        buyer_id: Who bought.
        referrer_id: Who referred the buyer.
        amount: Of the order, such as 19.99.
        currency: Its ISO code.
        commission_amount: What the referrer gets, if it was computed already.
        commission_rate: The referrer's part, such as 0.1; used only without `commission_amount`.
        referral_id: Taken and not used, as is `product_id`.
        product_id: See there.

    Raises:
        ValueError: An amount has more digits than the currency, or the rate more than four.
    """
    del referral_id, product_id
    made: dict[str, Any] = {
        "order_id": purchase_id,
        "buyer_id": buyer_id,
        "referrer_id": referrer_id,
        "order_amount_minor": to_minor(amount, currency),
        "currency": currency,
        "event_type": "order_paid",
    }
    if commission_amount is not None:
        made["commission_minor"] = to_minor(commission_amount, currency, name="commissionAmount")
    elif commission_rate is not None:
        made["rate_basis_points"] = _basis_points(commission_rate)
    return made


def payout_from_decimals(
    period_start: str,
    period_end: str,
    referrer_id: str | None = None,
    minimum_payout: float | str | None = None,
    payment_method: str | None = None,
) -> dict[str, Any]:
    """Return the arguments of `referrals.payout` for a producer whose minimum is a number.

    Parameters:
        period_start: A date or a moment.
        period_end: See there.
        referrer_id: Whom to pay; None: all.
        minimum_payout: Such as 50, in whole units of each currency.
        payment_method: In the producer's words.

    Raises:
        ValueError: The minimum is no decimal number from 0.
    """
    made: dict[str, Any] = {
        "period_start": period_start,
        "period_end": period_end,
        "referrer_id": referrer_id,
        "payment_method": payment_method,
    }
    if minimum_payout is not None:
        made["minimum"] = _minimum(minimum_payout)
    return made


def _minimum(given: float | str) -> str:
    try:
        text = f"{Decimal(str(given)):f}"
    except InvalidOperation:
        text = ""
    if re.fullmatch(MINIMUM, text) is None:
        raise ValueError(f"minimumPayout={given!r}: expected a decimal number such as 50")
    return text


def _basis_points(rate: float | str) -> int:
    try:
        points = Decimal(str(rate)) * WHOLE
    except InvalidOperation:
        points = Decimal(-1)
    if not 0 <= points <= WHOLE or points != points.to_integral_value():
        raise ValueError(f"commissionRate={rate!r}: expected 0 to 1, with at most four digits")
    return int(points)
