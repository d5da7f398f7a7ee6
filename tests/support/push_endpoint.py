"""A push service of the test's own, and the browsers that subscribed with it.

It checks the token of each request and decrypts the message with the browser's private key, by
another implementation than ours.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import http_ece
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.http_server import Answer, Request, Server, serving

from toril.services.push.port import Subscription
from toril.services.push.vapid import VapidKeys

SUBJECT = "mailto:ops@example.com"


@dataclass
class Browser:
    """One subscription, and what arrived for it."""

    endpoint: str
    status: int = 201
    """What the push service answers."""
    statuses: list[int] = field(default_factory=list)
    """Answers before that, one each."""
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False
    delay_s: float = 0.0
    """How long the push service takes to answer."""
    received: list[bytes] = field(default_factory=list)
    """Plain texts of messages that were taken."""
    requests: list[Request] = field(default_factory=list)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    auth: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def subscription(self) -> Subscription:
        """What our side stores."""
        return Subscription(
            endpoint=self.endpoint, p256dh=text(point(self.key)), auth=text(self.auth)
        )

    @property
    def json(self) -> dict[str, Any]:
        """What a browser gives to its page."""
        held = self.subscription
        keys = {"p256dh": held.p256dh, "auth": held.auth}
        return {"endpoint": held.endpoint, "expirationTime": None, "keys": keys}

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What arrived, as JSON."""
        return [json.loads(each) for each in self.received]


@dataclass
class PushEndpoint:
    """The push service."""

    keys: VapidKeys
    """Of the one application that may send."""
    server: Server = field(default_factory=lambda: Server(0, lambda _request: Answer()))
    browsers: dict[str, Browser] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    """What was wrong with requests."""

    def browser(self, name: str = "") -> Browser:
        """Return a new subscription."""
        path = f"/send/{name or secrets.token_hex(8)}"
        made = Browser(self.server.url(path))
        self.browsers[path] = made
        return made

    def answer(self, request: Request) -> Answer:
        """Check a request, and answer as its subscription says."""
        browser = self.browsers.get(request.path)
        if browser is None:
            return Answer(404)
        browser.requests.append(request)
        problem = self._problem(request)
        if problem is not None:
            self.problems.append(problem)
            return Answer(400, body=problem.encode())
        if browser.hangs:
            return Answer(hangs=True)
        status = browser.statuses.pop(0) if browser.statuses else browser.status
        if 200 <= status < 300:
            plain = http_ece.decrypt(
                request.body, private_key=browser.key, auth_secret=browser.auth, version="aes128gcm"
            )
            browser.received.append(plain)
        return Answer(status, dict(browser.headers), delay_s=browser.delay_s)

    def _problem(self, request: Request) -> str | None:
        headers = request.headers
        expected = {"content-encoding": "aes128gcm"}
        for name, value in expected.items():
            if headers.get(name) != value:
                return f"{name}: {headers.get(name)}"
        if not headers.get("ttl", "").isdecimal():
            return f"ttl: {headers.get('ttl')}"
        if len(request.body) > 4096:
            return f"{len(request.body)} bytes"
        return token_problem(
            headers.get("authorization", ""), self.keys, audience=self.server.url("")
        )


@asynccontextmanager
async def push_endpoint(keys: VapidKeys | None = None) -> AsyncIterator[PushEndpoint]:
    """Run a push service beside the test; fail the test if a request was wrong."""
    made = PushEndpoint(keys or VapidKeys.generate(SUBJECT))
    async with serving(made.answer) as server:
        made.server = server
        yield made
    assert made.problems == []


def token_problem(header: str, keys: VapidKeys, *, audience: str) -> str | None:
    """Return what is wrong with a header `Authorization` by RFC 8292; None if nothing is."""
    scheme, _, rest = header.partition(" ")
    parts = dict(one.strip().split("=", 1) for one in rest.split(","))
    if scheme != "vapid" or set(parts) != {"t", "k"}:
        return f"authorization: {header}"
    if parts["k"] != keys.public_key:
        return "another key"
    head, claims, signature = parts["t"].split(".")
    if json.loads(raw(head)) != {"typ": "JWT", "alg": "ES256"}:
        return "header of the token"
    both = raw(signature)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw(parts["k"]))
    r, s = int.from_bytes(both[:32], "big"), int.from_bytes(both[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return "signature"
    found = json.loads(raw(claims))
    if found["aud"] != audience or found["sub"] != keys.subject:
        return f"claims: {found}"
    if not time.time() < found["exp"] <= time.time() + 24 * 3600:
        return f"exp: {found['exp']}"
    return None


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key's uncompressed point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def text(content: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def raw(content: str) -> bytes:
    """Return the bytes of base64url without padding."""
    return base64.urlsafe_b64decode(content + "=" * (-len(content) % 4))
