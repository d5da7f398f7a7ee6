"""Charges through YooKassa, by its HTTP interface.

YooKassa remembers an idempotency key for a day. A charge is found later in the list of payments
made since its job began, by the key in its metadata.

Source:
    YooKassa's reference: payments, idempotency, cancellation details, notifications.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from toril.core.checks import require
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
)
from toril.services.payments.replies import decoded, said

URL = "https://api.yookassa.ru"
SENDERS = (
    "185.71.76.0/27", "185.71.77.0/27", "77.75.153.0/25", "77.75.156.11/32", "77.75.156.35/32",
    "77.75.154.128/25", "2a02:5180::/32",
)  # fmt: skip
"""Networks that its notifications come from; they are not signed."""
FOR_GOOD = frozenset(
    "canceled_by_merchant card_expired country_forbidden fraud_suspected identification_required"
    " invalid_card_number invalid_csc payment_method_restricted permission_revoked"
    " unsupported_mobile_operator".split()
)
"""Reasons after which the same card will not do on another day either."""
MAX_PAGES = 20
"""Of 100 payments each: how far a charge is looked for."""
_SKEW = timedelta(minutes=10)
"""How far our clock may be ahead of YooKassa's."""
_STATES: dict[str, ChargeState] = {
    "succeeded": "succeeded",
    "waiting_for_capture": "pending",
    "pending": "pending",
}


class YooKassaPayments:
    """Fulfils `PaymentProvider`. Charges a stored payment method.

    Parameters:
        shop_id: The shop's number.
        key: Its secret key. It is in no message.
        http: What makes the requests. It stays open when this is closed.
        url: Where YooKassa is.
        senders: Networks that notifications may come from.

    Raises:
        InvalidOptionError: The shop, the key or the URL makes no sense.
    """

    def __init__(
        self,
        shop_id: str,
        key: str,
        http: HttpClient,
        *,
        url: str = URL,
        senders: Sequence[str] = SENDERS,
    ) -> None:
        require(bool(shop_id) and ":" not in shop_id, "shop_id", shop_id, "the number of a shop")
        require(bool(key) and key.isprintable(), "key", "(not shown)", "a secret key of YooKassa's")
        require(url.startswith(("http://", "https://")), "url", url, "one with https://")
        self._authorization = "Basic " + base64.b64encode(f"{shop_id}:{key}".encode()).decode()
        self._http = http
        self._url = url.rstrip("/") + "/v3/payments"
        self._senders = [ipaddress.ip_network(one) for one in senders]

    def __repr__(self) -> str:
        return f"YooKassaPayments({self._url!r})"

    async def charge(self, charge: Charge) -> ChargeReply:
        """Charge once: see `PaymentProvider.charge`."""
        asked: dict[str, Any] = {
            "amount": {
                "value": to_text(charge.amount_minor, charge.currency),
                "currency": charge.currency,
            },
            "capture": True,
            "description": f"Order {charge.order_id}"[:128],
            "metadata": {"toril_key": charge.key, "payment_id": charge.payment_id[:500]},
        }
        if charge.payment_method_id is not None:
            asked["payment_method_id"] = charge.payment_method_id
        headers = {"idempotence-key": charge.key, "content-type": "application/json"}
        try:
            reply = await self._ask("POST", self._url, headers, msgspec.json.encode(asked))
        except HttpNotSentError as error:
            raise PaymentError(f"YooKassa: {error}") from None
        except HttpError as error:
            raise PaymentUnclearError(f"YooKassa: the answer was lost: {error}") from None
        if reply.status == 429:
            raise PaymentError("YooKassa: 429, too many requests")
        if reply.status >= 500 or reply.status == 202:  # 202: not done yet, ask again
            raise PaymentUnclearError(f"YooKassa: {reply.status} {said(reply)}")
        return _reply(decoded(reply, _Payment, "YooKassa"))

    async def find(self, charge: Charge) -> ChargeReply | None:
        """Return what became of a charge: see `PaymentProvider.find`."""
        since = (charge.since.astimezone(UTC) - _SKEW).isoformat(timespec="milliseconds")
        asked = {"created_at.gte": since.replace("+00:00", "Z"), "limit": "100"}
        for _ in range(MAX_PAGES):
            page = decoded(await self._get(f"{self._url}?{urlencode(asked)}"), _Page, "YooKassa")
            for one in page.items:
                if one.metadata.get("toril_key") == charge.key:
                    return _reply(one)
            if page.next_cursor is None:
                return None
            asked["cursor"] = page.next_cursor
        raise PaymentError(
            f"YooKassa: more than {MAX_PAGES * 100} payments since {since}, so this one was not"
            " found among them: look for it by hand"
        )

    async def webhook(
        self, body: bytes, headers: Mapping[str, str], *, client_ip: str
    ) -> WebhookEvent:
        """Return what a notification is about, asked anew: see `PaymentProvider.webhook`.

        Nothing of it is believed but the payment's id.
        """
        try:
            sender = ipaddress.ip_address(client_ip)
        except ValueError:
            raise WebhookRefusedError(f"YooKassa: {client_ip[:50]!r} is no address") from None
        if not any(sender in one for one in self._senders if one.version == sender.version):
            raise WebhookRefusedError(f"YooKassa: {client_ip} is none of its addresses")
        try:
            told = msgspec.json.decode(body, type=_Notification)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise WebhookRefusedError("YooKassa: the body is no notification") from None
        if not told.event.startswith("payment."):
            raise WebhookRefusedError(f"YooKassa: {told.event[:50]!r} is no event of a payment")
        reply = await self._get(f"{self._url}/{quote(told.object.id, safe='')}")
        if reply.status == 404:
            raise WebhookRefusedError(f"YooKassa: it knows no payment {told.object.id[:50]!r}")
        found = decoded(reply, _Payment, "YooKassa")
        return WebhookEvent(
            key=found.metadata.get("toril_key"),
            payment_id=found.metadata.get("payment_id"),
            reply=_reply(found),
        )

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _get(self, url: str) -> HttpReply:
        try:
            reply = await self._ask("GET", url, {}, None)
        except HttpError as error:
            raise PaymentError(f"YooKassa: {error}") from None
        if reply.status == 429 or reply.status >= 500:
            raise PaymentError(f"YooKassa: {reply.status} {said(reply)}")
        return reply

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> HttpReply:
        sent = {"authorization": self._authorization, **headers}
        return await self._http.request(method, url, headers=sent, body=body)


class _Cancelled(msgspec.Struct):
    reason: str = ""


class _Confirmation(msgspec.Struct):
    confirmation_url: str | None = None


class _Payment(msgspec.Struct):
    id: str
    status: str
    metadata: dict[str, str] = {}
    cancellation_details: _Cancelled | None = None
    confirmation: _Confirmation | None = None


class _Page(msgspec.Struct):
    items: list[_Payment]
    next_cursor: str | None = None


class _Told(msgspec.Struct):
    id: str


class _Notification(msgspec.Struct):
    event: str
    object: _Told


def _reply(payment: _Payment) -> ChargeReply:
    state = _STATES.get(payment.status)
    code = ""
    if state is None:
        details = payment.cancellation_details
        code = (details.reason if details else "") or "general_decline"
        state = "refused" if code in FOR_GOOD else "declined"
    url = None if payment.confirmation is None else payment.confirmation.confirmation_url
    return ChargeReply(state=state, reference=payment.id, code=code, url=url)
