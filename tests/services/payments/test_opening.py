"""Payment providers as an environment names them."""

from __future__ import annotations

import pytest

from toril.core.errors import InvalidSettingError
from toril.services.http.aio import AioHttpClient
from toril.services.payments.opening import providers_from_environment

STRIPE = {"STRIPE_SECRET_KEY": "sk_test_1"}
YOOKASSA = {"YOOKASSA_SHOP_ID": "1", "YOOKASSA_SECRET_KEY": "k"}
CRYPTO = {
    "CRYPTO_API_BASE": "https://pay.example.com",
    "CRYPTO_STORE_ID": "s",
    "CRYPTO_API_KEY": "k",
}


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({"STRIPE_SECRET_KEY": " "}, []),
        ({**STRIPE, "STRIPE_API_BASE": "http://127.0.0.1:1"}, ["stripe"]),
        ({**YOOKASSA, **CRYPTO}, ["yookassa", "crypto"]),
        ({**STRIPE, **YOOKASSA, **CRYPTO, "CRYPTO_CONFIRMATIONS": "6"},
         ["stripe", "yookassa", "crypto"]),
    ],
)  # fmt: skip
async def test_providers_are_those_that_are_named(
    environ: dict[str, str], names: list[str]
) -> None:
    http = AioHttpClient()
    found = providers_from_environment(environ, http)
    for one in found.values():
        await one.close()
    await http.close()

    assert list(found) == names


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"YOOKASSA_SHOP_ID": "1"}, "YOOKASSA_SECRET_KEY is not set, but YOOKASSA_SHOP_ID is"),
        ({"CRYPTO_API_KEY": "k"}, "CRYPTO_API_BASE is not set"),
        ({"STRIPE_SECRET_KEY": "a b"}, "STRIPE_SECRET_KEY"),
        ({**CRYPTO, "CRYPTO_API_BASE": "pay"}, "CRYPTO_API_BASE"),
        ({**CRYPTO, "CRYPTO_CONFIRMATIONS": "x"}, "CRYPTO_CONFIRMATIONS='x'"),
    ],
)
async def test_setting_that_makes_no_sense_is_named(environ: dict[str, str], said: str) -> None:
    http = AioHttpClient()
    with pytest.raises(InvalidSettingError, match=said):
        providers_from_environment(environ, http)
    await http.close()
