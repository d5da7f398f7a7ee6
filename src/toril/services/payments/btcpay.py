"""Waits for invoices in coins at a BTCPay Server, by its Greenfield interface. It moves no coins.

A charge is an invoice that the customer pays. Greenfield has no idempotency keys: an invoice is
looked for by our key before one is made.

Source:
    BTCPay Server's Greenfield reference: invoices, webhooks.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from toril.core.checks import is_whole, require
from toril.services.http.port import HttpClient, HttpError, HttpNotSentError, HttpReply
from toril.services.money import to_text
from toril.services.payments.port import (
    Charge,
    ChargeReply,
    ChargeState,
    PaymentError,
    PaymentUnclearError,
    WebhookEvent,
    WebhookRefusedError,
    header,
)
from toril.services.payments.replies import decoded, said

MAX_CONFIRMATIONS = 6
_SPEEDS = ((0, "HighSpeed"), (1, "MediumSpeed"), (2, "LowMediumSpeed"), (6, "LowSpeed"))
"""After how many confirmations each of BTCPay's speeds settles an invoice."""
_STATES: dict[str, ChargeState] = {
    "Settled": "succeeded",
    "New": "pending",
    "Processing": "pending",
}


class BtcPayInvoices:
    """Fulfils `PaymentProvider`.

    Parameters:
        url: Where the server is.
        store_id: The store.
        key: An API key that may view and create invoices. It is in no message.
        http: What makes the requests. It stays open when this is closed.
        confirmations: At least how many an invoice needs, 0 to 6. BTCPay knows 0, 1, 2 and 6.
        webhook_secret: Of the store's webhook. None: webhooks are refused.

    Raises:
        InvalidOptionError: One of them makes no sense.
    """

    def __init__(
        self,
        url: str,
        store_id: str,
        key: str,
        http: HttpClient,
        *,
        confirmations: int = 3,
        webhook_secret: str | None = None,
    ) -> None:
        require(url.startswith(("http://", "https://")), "url", url, "one with https://")
        require(bool(store_id), "store_id", store_id, "the id of a store")
        require(bool(key) and key.isprintable(), "key", "(not shown)", "an API key of the server's")
        good = is_whole(confirmations) and 0 <= confirmations <= MAX_CONFIRMATIONS
        require(good, "confirmations", confirmations, f"0 to {MAX_CONFIRMATIONS}")
        self._url = f"{url.rstrip('/')}/api/v1/stores/{quote(store_id, safe='')}/invoices"
        self._key = key
        self._http = http
        self._speed = next(name for most, name in _SPEEDS if confirmations <= most)
        self._webhook_secret = webhook_secret

    def __repr__(self) -> str:
        return f"BtcPayInvoices({self._url!r})"

    async def charge(self, charge: Charge) -> ChargeReply:
        """Make an invoice, unless there is one: see `PaymentProvider.charge`."""
        found = await self.find(charge)
        if found is not None:
            return found
        asked = {
            "amount": to_text(charge.amount_minor, charge.currency),
            "currency": charge.currency,
            "metadata": {
                "orderId": charge.key,
                "shopOrderId": charge.order_id,
                "paymentId": charge.payment_id,
            },
            "checkout": {"speedPolicy": self._speed},
        }
        body = msgspec.json.encode(asked)
        try:
            reply = await self._ask("POST", self._url, body)
        except HttpNotSentError as error:
            raise PaymentError(f"BTCPay: {error}") from None
        except HttpError as error:
            raise PaymentUnclearError(f"BTCPay: the answer was lost: {error}") from None
        if reply.status == 429:
            raise PaymentError("BTCPay: 429, too many requests")
        if reply.status >= 500:
            raise PaymentUnclearError(f"BTCPay: {reply.status} {said(reply)}")
        return _reply(decoded(reply, _Invoice, "BTCPay"))

    async def find(self, charge: Charge) -> ChargeReply | None:
        """Return what became of an invoice: see `PaymentProvider.find`."""
        url = f"{self._url}?{urlencode({'orderId': charge.key, 'take': '2'})}"
        found: list[_Invoice] = decoded(await self._get(url), list[_Invoice], "BTCPay")
        return _reply(found[0]) if found else None

    async def webhook(
        self, body: bytes, headers: Mapping[str, str], *, client_ip: str
    ) -> WebhookEvent:
        """Return what a webhook is about, asked anew: see `PaymentProvider.webhook`."""
        if self._webhook_secret is None:
            raise WebhookRefusedError("BTCPay: no webhook_secret is set, so none can be verified")
        made = hmac.new(self._webhook_secret.encode(), body, hashlib.sha256).hexdigest()
        given = header(headers, "btcpay-sig")
        if not hmac.compare_digest(f"sha256={made}".encode(), given.encode()):
            raise WebhookRefusedError("BTCPay: the signature is wrong")
        try:
            told = msgspec.json.decode(body, type=_Notification)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise WebhookRefusedError("BTCPay: the body is no event of an invoice") from None
        # An event that is sent again may be old. What the invoice is now counts.
        reply = await self._get(f"{self._url}/{quote(told.invoice_id, safe='')}")
        if reply.status == 404:
            raise WebhookRefusedError(f"BTCPay: it knows no invoice {told.invoice_id[:50]!r}")
        found: _Invoice = decoded(reply, _Invoice, "BTCPay")
        key = found.metadata.get("orderId")
        payment_id = found.metadata.get("paymentId")
        return WebhookEvent(
            key=None if key is None else str(key),
            payment_id=None if payment_id is None else str(payment_id),
            reply=_reply(found),
        )

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _get(self, url: str) -> HttpReply:
        try:
            reply = await self._ask("GET", url, None)
        except HttpError as error:
            raise PaymentError(f"BTCPay: {error}") from None
        if reply.status == 429 or reply.status >= 500:
            raise PaymentError(f"BTCPay: {reply.status} {said(reply)}")
        return reply

    async def _ask(self, method: str, url: str, body: bytes | None) -> HttpReply:
        headers = {"authorization": f"token {self._key}", "content-type": "application/json"}
        return await self._http.request(method, url, headers=headers, body=body)


class _Invoice(msgspec.Struct, rename="camel"):
    id: str
    status: str
    additional_status: str = ""
    checkout_link: str | None = None
    metadata: dict[str, Any] = {}


class _Notification(msgspec.Struct, rename="camel"):
    invoice_id: str


def _reply(invoice: _Invoice) -> ChargeReply:
    state = _STATES.get(invoice.status)
    waits = invoice.status == "New"
    if state is not None:
        url = invoice.checkout_link if waits else None
        return ChargeReply(state=state, reference=invoice.id, url=url)
    # Expired, or never confirmed: the customer may pay another invoice.
    return ChargeReply(state="declined", reference=invoice.id, code=invoice.status.lower())
