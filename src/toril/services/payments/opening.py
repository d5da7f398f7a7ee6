"""Opens the payment providers that an environment names."""

from __future__ import annotations

from collections.abc import Mapping

from toril.core.errors import InvalidOptionError, InvalidSettingError
from toril.services.http.port import HttpClient
from toril.services.payments.btcpay import BtcPayInvoices
from toril.services.payments.port import PaymentProvider
from toril.services.payments.stripe import StripePayments
from toril.services.payments.yookassa import YooKassaPayments

_NEEDED = {
    "stripe": ("STRIPE_SECRET_KEY",),
    "yookassa": ("YOOKASSA_SHOP_ID", "YOOKASSA_SECRET_KEY"),
    "crypto": ("CRYPTO_API_BASE", "CRYPTO_STORE_ID", "CRYPTO_API_KEY"),
}


def providers_from_environment(
    environ: Mapping[str, str], http: HttpClient
) -> dict[str, PaymentProvider]:
    """Return the providers that are named, by name; none if none is.

    Reads `STRIPE_SECRET_KEY`, `STRIPE_API_BASE`, `STRIPE_WEBHOOK_SECRET`; `YOOKASSA_SHOP_ID`,
    `YOOKASSA_SECRET_KEY`, `YOOKASSA_API_BASE`; `CRYPTO_API_BASE`, `CRYPTO_STORE_ID`,
    `CRYPTO_API_KEY`, `CRYPTO_WEBHOOK_SECRET`, `CRYPTO_CONFIRMATIONS` (3). Empty means unset.

    Parameters:
        environ: Where to read.
        http: What speaks to YooKassa and BTCPay Server.

    Raises:
        InvalidSettingError: One has to be set, too, or makes no sense.
    """
    given = {name: text.strip() for name, text in environ.items() if text.strip()}
    found: dict[str, PaymentProvider] = {}
    for name, needed in _NEEDED.items():
        missing = [one for one in needed if one not in given]
        if len(missing) == len(needed):
            continue
        if missing:
            there = next(one for one in needed if one in given)
            raise InvalidSettingError(f"{missing[0]} is not set, but {there} is: set it, too")
        try:
            found[name] = _opened(name, given, http)
        except InvalidOptionError as error:
            names = ", ".join(needed)
            raise InvalidSettingError(f"{names}: {error}") from None
    return found


def _opened(name: str, given: Mapping[str, str], http: HttpClient) -> PaymentProvider:
    match name:
        case "stripe":
            return StripePayments(
                given["STRIPE_SECRET_KEY"],
                webhook_secret=given.get("STRIPE_WEBHOOK_SECRET"),
                url=given.get("STRIPE_API_BASE"),
            )
        case "yookassa":
            shop, key = given["YOOKASSA_SHOP_ID"], given["YOOKASSA_SECRET_KEY"]
            url = given.get("YOOKASSA_API_BASE")
            more = {} if url is None else {"url": url}
            return YooKassaPayments(shop, key, http, **more)
    text = given.get("CRYPTO_CONFIRMATIONS", "3")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise InvalidSettingError(f"CRYPTO_CONFIRMATIONS={text!r}: expected a whole number from 0")
    return BtcPayInvoices(
        given["CRYPTO_API_BASE"],
        given["CRYPTO_STORE_ID"],
        given["CRYPTO_API_KEY"],
        http,
        confirmations=int(text),
        webhook_secret=given.get("CRYPTO_WEBHOOK_SECRET"),
    )
