"""Webhooks are believed only if they are the provider's."""

from __future__ import annotations

import hashlib
import hmac
import json
import time

import pytest
from tests.services.payments.conftest import Side
from tests.services.payments.test_conformance import CHARGE
from tests.support.payments import STORE_SECRET, STRIPE_SECRET

from toril.services.http.aio import AioHttpClient
from toril.services.payments.btcpay import BtcPayInvoices
from toril.services.payments.port import PaymentError, WebhookRefusedError
from toril.services.payments.stripe import StripePayments

HERE = "127.0.0.1"


def signed(side: Side, *, age_s: int = 0) -> tuple[bytes, dict[str, str]]:
    """Return the webhook of the charge as the provider sends it."""
    made = side.bank.made[CHARGE.key]
    if side.name == "stripe":
        event = {
            "id": "evt_1",
            "object": "event",
            "type": "payment_intent.succeeded",
            "data": {"object": made},
        }
        body = json.dumps(event).encode()
        at = int(time.time()) - age_s
        mac = hmac.new(STRIPE_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256)
        return body, {"Stripe-Signature": f"t={at},v1={mac.hexdigest()}"}
    if side.name == "yookassa":
        told = {"type": "notification", "event": "payment.succeeded", "object": made}
        return json.dumps(told).encode(), {}
    body = json.dumps({"type": "InvoiceSettled", "invoiceId": made["id"]}).encode()
    mac = hmac.new(STORE_SECRET.encode(), body, hashlib.sha256)
    return body, {"BTCPay-Sig": f"sha256={mac.hexdigest()}"}


async def test_webhook_tells_the_charge(side: Side) -> None:
    made = await side.provider.charge(CHARGE)
    body, headers = signed(side)

    event = await side.provider.webhook(body, headers, client_ip=HERE)

    assert (event.key, event.payment_id, event.reply) == (CHARGE.key, "pay'1", made)


async def test_forged_webhook_is_refused(side: Side) -> None:
    await side.provider.charge(CHARGE)
    body, headers = signed(side)
    forged = {
        name: value[:-1] + ("0" if value[-1] != "0" else "1") for name, value in headers.items()
    }

    with pytest.raises(WebhookRefusedError):
        await side.provider.webhook(body + b" ", forged, client_ip="203.0.113.7")
    if side.name != "yookassa":
        for wrong in (forged, {}):
            with pytest.raises(WebhookRefusedError):
                await side.provider.webhook(body, wrong, client_ip=HERE)


async def test_webhook_of_a_stranger_is_refused_whatever_it_says(side: Side) -> None:
    if side.name != "yookassa":
        return
    await side.provider.charge(CHARGE)
    body, _ = signed(side)

    for client in ("203.0.113.7", "::1", "nobody"):
        with pytest.raises(WebhookRefusedError):
            await side.provider.webhook(body, {}, client_ip=client)
    for odd in (b"no json", b"{}", b'{"event": "refund.succeeded", "object": {"id": "1"}}'):
        with pytest.raises(WebhookRefusedError):
            await side.provider.webhook(odd, {}, client_ip=HERE)


async def test_state_is_asked_for_and_not_believed(side: Side) -> None:
    """A webhook that comes late tells what was; only Stripe signs the object itself."""
    if side.name == "stripe":
        return
    await side.provider.charge(CHARGE)
    body, headers = signed(side)
    status = "canceled" if side.name == "yookassa" else "Invalid"
    side.bank.made[CHARGE.key]["status"] = status

    event = await side.provider.webhook(body, headers, client_ip=HERE)
    side.bank.down = True
    with pytest.raises(PaymentError):
        await side.provider.webhook(body, headers, client_ip=HERE)
    side.bank.down = False
    side.bank.made.clear()
    with pytest.raises(WebhookRefusedError, match="it knows no"):
        await side.provider.webhook(body, headers, client_ip=HERE)

    assert event.reply.state == "declined"


async def test_old_webhook_of_stripe_is_refused(side: Side) -> None:
    if side.name != "stripe":
        return
    await side.provider.charge(CHARGE)
    body, headers = signed(side, age_s=1000)

    with pytest.raises(WebhookRefusedError):
        await side.provider.webhook(body, headers, client_ip=HERE)


async def test_without_a_secret_nothing_is_believed(http: AioHttpClient) -> None:
    for provider in (StripePayments("k"), BtcPayInvoices("http://127.0.0.1", "s", "k", http)):
        with pytest.raises(WebhookRefusedError, match="webhook_secret"):
            await provider.webhook(b"{}", {}, client_ip=HERE)
