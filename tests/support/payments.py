"""Servers with the shapes of Stripe, YooKassa and BTCPay. They count charges per key.

Each has a fault for the next charge: `before` answers 500 and charges nothing, `after` charges and
then answers 500, `lost` charges and closes the connection, `hangs` charges and never answers. Keys
are what each really promises: Stripe and YooKassa know them, BTCPay does not.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.http_server import Answer, Request, Server, serving

Fault = Literal["before", "after", "lost", "hangs"]
STRIPE_KEY = "sk_test_local"
STRIPE_SECRET = "whsec_of_a_test"
SHOP, SHOP_KEY = "100500", "test_secret"
STORE, STORE_KEY, STORE_SECRET = "store1", "btcpay-key", "hook-secret"


class Provider:
    """What they have in common."""

    def __init__(self) -> None:
        self.charges: Counter[str] = Counter()
        """By key: how often money was taken, or an invoice made."""
        self.made: dict[str, dict[str, Any]] = {}
        """By key: what exists at the provider."""
        self.fault: Fault | None = None
        self.decline: str | None = None
        """What the next charge is declined with."""
        self.down = False
        self.hidden = False
        """Whether what exists is not found by lists and searches yet."""
        self.asked: list[dict[str, Any]] = []
        """The bodies of charges."""
        self.server: Server

    def answer(self, request: Request) -> Answer:
        if self.down:
            return Answer(status=503, body=b"down")
        return self.respond(request)

    def respond(self, request: Request) -> Answer:
        raise NotImplementedError

    def make(self, key: str, asked: dict[str, Any], charge: Callable[[], Answer]) -> Answer:
        """Charge, or fail as told."""
        fault, self.fault = self.fault, None
        if fault == "before":
            return Answer(status=500, body=b"{}")
        self.asked.append(asked)
        self.charges[key] += 1
        done = charge()
        if fault == "after":
            return Answer(status=500, body=b"{}")
        if fault in ("lost", "hangs"):
            return Answer(drops=fault == "lost", hangs=fault == "hangs")
        return done

    def of_id(self, name: str) -> dict[str, Any] | None:
        return next((one for one in self.made.values() if one["id"] == name), None)


class Stripe(Provider):
    """PaymentIntents: a key gives the first answer again, errors included."""

    def __init__(self) -> None:
        super().__init__()
        self._answers: dict[str, Answer] = {}

    def respond(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {STRIPE_KEY}":
            return said(401, {"error": {"type": "invalid_request_error", "message": "No such key"}})
        url = urlsplit(request.path)
        if (request.method, url.path) == ("GET", "/v1/payment_intents/search"):
            (query,) = parse_qs(url.query)["query"]
            key = query.removeprefix("metadata['toril_key']:'").removesuffix("'")
            found = [self.made[key]] if key in self.made and not self.hidden else []
            return said(200, {"object": "search_result", "data": found, "has_more": False})
        if (request.method, url.path) != ("POST", "/v1/payment_intents"):
            return said(404, {"error": {"type": "invalid_request_error", "message": url.path}})
        key = request.headers["idempotency-key"]
        if key not in self._answers:
            asked = {name: one[0] for name, one in parse_qs(request.body.decode()).items()}
            self._answers[key] = self.make(key, asked, lambda: self._charge(key, asked))
            if self._answers[key].hangs or self._answers[key].drops:
                lost = self._answers.pop(key)
                self._answers[key] = said(200, self.made[key])
                return lost
        return self._answers[key]

    def _charge(self, key: str, asked: dict[str, Any]) -> Answer:
        intent: dict[str, Any] = {
            "id": f"pi_{len(self.made) + 1}",
            "object": "payment_intent",
            "status": "succeeded",
            "amount": int(asked["amount"]),
            "currency": asked["currency"],
            "last_payment_error": None,
            "metadata": {
                name.removeprefix("metadata[").removesuffix("]"): value
                for name, value in asked.items()
                if name.startswith("metadata[")
            },
        }
        self.made[key] = intent
        code, self.decline = self.decline, None
        if code is None:
            return said(200, intent)
        self.charges[key] -= 1  # no money moved
        error = {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": code,
            "message": "Your card was declined.",
        }
        intent |= {"status": "requires_payment_method", "last_payment_error": dict(error)}
        return said(402, {"error": {**error, "payment_intent": intent}})


class YooKassa(Provider):
    """Payments: a key gives the same payment again."""

    def respond(self, request: Request) -> Answer:
        right = base64.b64encode(f"{SHOP}:{SHOP_KEY}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {right}":
            return said(401, {"type": "error", "description": "Wrong shop or key"})
        url = urlsplit(request.path)
        if (request.method, url.path) == ("GET", "/v3/payments"):
            asked = {name: one[0] for name, one in parse_qs(url.query).items()}
            assert asked["created_at.gte"].endswith("Z")
            items = [] if self.hidden else list(self.made.values())
            start = int(asked.get("cursor", 0))
            page: dict[str, Any] = {"type": "list", "items": items[start : start + 2]}
            if len(items) > start + 2:
                page["next_cursor"] = str(start + 2)
            return said(200, page)
        if request.method == "GET":
            found = self.of_id(unquote(url.path.rpartition("/")[2]))
            return said(404, {"type": "error"}) if found is None else said(200, found)
        key = request.headers["idempotence-key"]
        if len(key) > 64:
            return said(400, {"type": "error", "parameter": "Idempotence-Key"})
        if key in self.made:
            return said(200, self.made[key])
        body = json.loads(request.body)
        return self.make(key, body, lambda: self._charge(key, body))

    def _charge(self, key: str, asked: dict[str, Any]) -> Answer:
        payment: dict[str, Any] = {
            "id": f"2f-{len(self.made) + 1}",
            "status": "succeeded",
            "amount": asked["amount"],
            "metadata": asked["metadata"],
        }
        code, self.decline = self.decline, None
        if code is not None:
            self.charges[key] -= 1
            details = {"party": "payment_network", "reason": code}
            payment |= {"status": "canceled", "cancellation_details": details}
        self.made[key] = payment
        return said(200, payment)


class BtcPay(Provider):
    """Invoices: no keys, so that a second request makes a second invoice."""

    status = "Settled"
    """Of new invoices."""

    def respond(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"token {STORE_KEY}":
            return said(401, {"code": "unauthenticated", "message": "Authentication is required"})
        url = urlsplit(request.path)
        root = f"/api/v1/stores/{STORE}/invoices"
        if (request.method, url.path) == ("GET", root):
            (key,) = parse_qs(url.query)["orderId"]
            return said(200, [self.made[key]] if key in self.made and not self.hidden else [])
        if request.method == "GET" and url.path.startswith(root):
            found = self.of_id(url.path.rpartition("/")[2])
            return said(404, {"code": "invoice-not-found"}) if found is None else said(200, found)
        if (request.method, url.path) != ("POST", root):
            return said(404, {"code": "not-found"})
        body = json.loads(request.body)
        key = body["metadata"]["orderId"]
        return self.make(key, body, lambda: self._invoice(key, body))

    def _invoice(self, key: str, asked: dict[str, Any]) -> Answer:
        invoice = {
            "id": f"inv{len(self.made) + 1}",
            "status": self.decline or self.status,
            "additionalStatus": "None",
            "checkoutLink": f"https://pay.example.com/i/inv{len(self.made) + 1}",
            "metadata": asked["metadata"],
        }
        if self.decline is not None:
            self.charges[key] -= 1
            self.decline = None
        self.made[key] = invoice
        return said(200, invoice)


def said(status: int, body: Any) -> Answer:
    headers = {"content-type": "application/json"}
    return Answer(status=status, headers=headers, body=json.dumps(body).encode())


@asynccontextmanager
async def provider_server(provider: Provider) -> AsyncIterator[Provider]:
    """Run a provider's server."""
    async with serving(provider.answer) as server:
        provider.server = server
        yield provider
