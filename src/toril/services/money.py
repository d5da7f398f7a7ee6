"""Amounts of money as whole numbers of the smallest unit, and as decimal text for other programs.

Never a float: `0.1 + 0.2` is not `0.3` there.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import msgspec

MAX_AMOUNT_MINOR = 2**53 - 1
"""The largest whole number that JavaScript's producers and consumers keep exactly."""
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9]{1,9}$")]
"""An ISO 4217 code or a coin's symbol, in capitals."""
AmountMinor = Annotated[int, msgspec.Meta(ge=1, le=MAX_AMOUNT_MINOR)]
"""More than nothing, in the currency's smallest unit: 1999 for 19.99 USD."""

_ISO_DIGITS = 2
_DIGITS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    "BTC": 8,
    "LTC": 8,
    "DOGE": 8,
    "SATS": 0,
    "USDC": 6,
    "USDT": 6,
    "XMR": 12,
    "ETH": 18,
}
"""Digits after the point where they are not two.

Source: ISO 4217's list of currencies; for coins, their smallest unit.
"""


def minor_digits(currency: str) -> int:
    """Return how many digits after the point a currency has.

    Raises:
        ValueError: It is neither an ISO code nor a coin that is known.
    """
    found = _DIGITS.get(currency)
    if found is not None:
        return found
    if len(currency) == 3 and currency.isascii() and currency.isalpha() and currency.isupper():
        return _ISO_DIGITS
    coins = ", ".join(sorted(name for name in _DIGITS if len(name) != 3 or name in ("BTC", "LTC")))
    raise ValueError(f"currency {currency[:20]!r}: expected an ISO 4217 code, or one of {coins}")


def to_minor(amount: str | float, currency: str, *, name: str = "amount") -> int:
    """Return a decimal amount in the currency's smallest unit.

    A float is taken as the shortest text that stands for it, which is what its program wrote.

    Parameters:
        amount: Such as `"19.99"` or `19.99`.
        currency: Says how many digits there may be.
        name: The field, for the error.

    Raises:
        ValueError: It is no number, has digits that the currency lacks, or is too large.
    """
    digits = minor_digits(currency)
    try:
        number = Decimal(str(amount))
        scaled = number.scaleb(digits)
    except InvalidOperation:
        raise ValueError(f"{name}={amount!r}: expected a decimal number such as 19.99") from None
    if not number.is_finite() or abs(scaled) > MAX_AMOUNT_MINOR:
        raise ValueError(f"{name}={amount!r}: expected at most {MAX_AMOUNT_MINOR:,} smallest units")
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{name}={amount!r}: {currency} has {digits} digits after the point")
    return int(scaled)


def to_text(amount_minor: int, currency: str) -> str:
    """Return an amount as decimal text with all digits: `19.90`.

    Raises:
        ValueError: The currency is unknown.
    """
    return f"{Decimal(amount_minor).scaleb(-minor_digits(currency)):f}"
