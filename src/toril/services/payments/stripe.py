"""Charges through Stripe, by its SDK.

Stripe remembers an idempotency key for a day, and gives each call with it the first one's answer,
an error of its own included. Its search knows a charge by our key for ever, but only some seconds
after it was made. Together they leave no gap: see the decision "A charge is asked for first".

Source:
    Stripe's reference: PaymentIntents, idempotent requests, search, decline codes.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import msgspec

from toril.core.checks import require
from toril.core.extras import missing_extra
from toril.services.payments.port import (
    Charge,
    ChargeReply,
    ChargeState,
    PaymentError,
    PaymentSetupError,
    PaymentUnclearError,
    WebhookEvent,
    WebhookRefusedError,
    header,
)

TIMEOUT_S = 30.0
"""How long a request may take, in seconds."""
WEBHOOK_AGE_S = 300
"""Older webhooks are refused: somebody may send a recorded one again."""
FOR_GOOD = frozenset(
    "authentication_required card_not_supported currency_not_supported expired_card fraudulent"
    " incorrect_cvc incorrect_number invalid_account invalid_cvc invalid_expiry_month"
    " invalid_expiry_year invalid_number lost_card merchant_blacklist not_permitted pickup_card"
    " restricted_card revocation_of_all_authorizations revocation_of_authorization"
    " security_violation stolen_card stop_payment_order transaction_not_allowed".split()
)
"""Decline codes after which the same card will not do on another day either."""
_STATES: dict[str, ChargeState] = {
    "succeeded": "succeeded",
    "processing": "pending",
    "requires_capture": "pending",
    "canceled": "declined",
}


class StripePayments:
    """Fulfils `PaymentProvider`. Charges a stored card while its owner is away.

    Parameters:
        key: The secret key. It is in no message.
        webhook_secret: Of the endpoint. None: webhooks are refused.
        url: Where Stripe is. Default: Stripe.
        timeout_s: How long a request may take, in seconds.

    Raises:
        InvalidOptionError: The key makes no sense.
    """

    def __init__(
        self,
        key: str,
        *,
        webhook_secret: str | None = None,
        url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        require(bool(key) and key.isascii() and key.isprintable() and " " not in key,
                "key", "(not shown)", "a secret key of Stripe's")  # fmt: skip
        self._key = key
        self._webhook_secret = webhook_secret
        self._url = url
        self._timeout_s = timeout_s
        self._stripe: Any = None
        self._http: Any = None
        self._client: Any = None
        self._opening = asyncio.Lock()

    def __repr__(self) -> str:
        return f"StripePayments(url={self._url!r})"

    async def charge(self, charge: Charge) -> ChargeReply:
        """Charge once: see `PaymentProvider.charge`."""
        client = await self._open()
        asked: dict[str, Any] = {
            "amount": charge.amount_minor,
            "currency": charge.currency.lower(),
            "confirm": True,
            "off_session": True,
            "metadata": {
                "toril_key": charge.key,
                "payment_id": charge.payment_id[:500],
                "order_id": charge.order_id[:500],
            },
        }
        if charge.payment_method_id is not None:
            asked["payment_method"] = charge.payment_method_id
        if charge.customer_id is not None:
            asked["customer"] = charge.customer_id
        stripe = self._stripe
        try:
            made = await client.v1.payment_intents.create_async(
                asked, {"idempotency_key": charge.key}
            )
        except stripe.CardError as error:
            return _declined(error)
        except (stripe.RateLimitError, stripe.APIConnectionError, stripe.APIError) as error:
            if isinstance(error, stripe.RateLimitError):
                raise PaymentError(f"Stripe: {_said(error)}") from None
            raise PaymentUnclearError(f"Stripe: the answer was lost: {_said(error)}") from None
        except stripe.StripeError as error:
            raise self._refusal(error) from None
        return _reply(made)

    async def find(self, charge: Charge) -> ChargeReply | None:
        """Return what became of a charge: see `PaymentProvider.find`."""
        client = await self._open()
        stripe = self._stripe
        query = f"metadata['toril_key']:'{charge.key}'"
        try:
            found = await client.v1.payment_intents.search_async({"query": query, "limit": 1})
        except (stripe.RateLimitError, stripe.APIConnectionError, stripe.APIError) as error:
            raise PaymentError(f"Stripe: {_said(error)}") from None
        except stripe.StripeError as error:
            raise self._refusal(error) from None
        return _reply(found.data[0]) if found.data else None

    async def webhook(
        self, body: bytes, headers: Mapping[str, str], *, client_ip: str
    ) -> WebhookEvent:
        """Return what a webhook says, if its signature is right: see `PaymentProvider.webhook`."""
        if self._webhook_secret is None:
            raise WebhookRefusedError("Stripe: no webhook_secret is set, so none can be verified")
        await self._open()
        signature = header(headers, "stripe-signature")
        try:
            event = self._stripe.Webhook.construct_event(
                body, signature, self._webhook_secret, tolerance=WEBHOOK_AGE_S
            )
        except (ValueError, self._stripe.SignatureVerificationError) as error:
            raise WebhookRefusedError(f"Stripe: {str(error)[:200]}") from None
        told = event.data.object
        if getattr(told, "object", "") != "payment_intent":
            raise WebhookRefusedError(f"Stripe: {event.type} is no event of a payment")
        named = _named(told)
        return WebhookEvent(
            key=named.get("toril_key"), payment_id=named.get("payment_id"), reply=_reply(told)
        )

    async def close(self) -> None:
        """Close its connections. It may be used again."""
        http, self._http, self._client = self._http, None, None
        if http is not None:
            await http.close_async()

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                # A second, in which jobs go on.
                stripe = self._stripe = await asyncio.to_thread(_import)
                self._http = stripe.AIOHTTPClient(timeout=self._timeout_s)
                self._client = stripe.StripeClient(
                    self._key,
                    base_addresses={} if self._url is None else {"api": self._url},
                    max_network_retries=0,  # Toril tries again, and asks first
                    http_client=self._http,
                )
        return self._client

    def _refusal(self, error: Any) -> PaymentSetupError:
        said = _said(error).replace(self._key, "***")
        return PaymentSetupError(f"Stripe refuses the request: {said}")


def _import() -> ModuleType:
    try:
        return importlib.import_module("stripe")
    except ImportError:
        raise missing_extra("payments by Stripe need its SDK", "stripe") from None


def _declined(error: Any) -> ChargeReply:
    """Return a card's decline as a reply; the error brings the intent with it."""
    body = error.json_body if isinstance(error.json_body, dict) else {}
    told = body.get("error", {})
    code = told.get("decline_code") or told.get("code") or "card_declined"
    intent = told.get("payment_intent") or {}
    return ChargeReply(
        state="refused" if code in FOR_GOOD else "declined",
        reference=str(intent.get("id", "")),
        code=code,
    )


def _reply(intent: Any) -> ChargeReply:
    state = _STATES.get(intent.status)
    failed = getattr(intent, "last_payment_error", None)
    code = ""
    if state is None:  # it needs another card, or its owner
        code = "authentication_required" if intent.status == "requires_action" else "card_declined"
        if failed is not None:
            code = getattr(failed, "decline_code", None) or getattr(failed, "code", None) or code
        state = "refused" if code in FOR_GOOD else "declined"
    return ChargeReply(state=state, reference=intent.id, code=code)


def _named(intent: Any) -> dict[str, str]:
    """Return the metadata, which is an object of the SDK's."""
    named: dict[str, str] = msgspec.json.decode(str(intent.metadata)) if intent.metadata else {}
    return named


def _said(error: Any) -> str:
    return (getattr(error, "user_message", None) or str(error) or type(error).__name__)[:300]
