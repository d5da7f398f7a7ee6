from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toril.services.money import MAX_AMOUNT_MINOR, minor_digits, to_minor, to_text


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        (19.99, "USD", 1999),
        (50, "USD", 5000),
        ("1500", "JPY", 1500),
        ("1.234", "KWD", 1234),
        ("0.00000001", "BTC", 1),
        (1e-07, "BTC", 10),
        ("-3.50", "USD", -350),
    ],
)
def test_decimals_become_smallest_units(amount: float | str, currency: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "why"),
    [
        (0.1 + 0.2, "USD", "USD has 2 digits"),
        ("19.999", "USD", "USD has 2 digits"),
        ("1.5", "JPY", "JPY has 0 digits"),
        ("ten", "USD", "expected a decimal number"),
        ("NaN", "USD", "expected at most"),
        ("Infinity", "USD", "expected at most"),
        (str(MAX_AMOUNT_MINOR + 1), "JPY", "expected at most"),
        ("1", "COINS", "expected an ISO 4217 code, or one of BTC, DOGE, LTC, SATS, USDC, USDT"),
        ("1", "usd", "expected an ISO 4217 code"),
    ],
)
def test_amounts_that_are_none_are_refused(amount: float | str, currency: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        to_minor(amount, currency)


def test_largest_amount_is_taken() -> None:
    assert to_minor(str(MAX_AMOUNT_MINOR), "JPY") == MAX_AMOUNT_MINOR


def test_text_has_all_digits() -> None:
    assert [to_text(1990, one) for one in ("USD", "JPY", "KWD")] == ["19.90", "1990", "1.990"]
    assert to_text(1, "BTC") == "0.00000001"


@given(
    st.integers(min_value=0, max_value=MAX_AMOUNT_MINOR),
    st.sampled_from(["USD", "JPY", "KWD", "BTC", "ETH"]),
)
def test_text_and_back_is_the_same(amount_minor: int, currency: str) -> None:
    assert to_minor(to_text(amount_minor, currency), currency) == amount_minor
    assert minor_digits(currency) >= 0
