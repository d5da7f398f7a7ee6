"""Checks what a browser sends when its user subscribes: `PushSubscription.toJSON()`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from toril.core.errors import InvalidOptionError
from toril.services.http.egress import EgressPolicy
from toril.services.push.base64url import decoded, encoded
from toril.services.push.encryption import AUTH_BYTES, POINT_BYTES, PublicKey, read_point
from toril.services.push.port import Subscription

MAX_ENDPOINT_CHARS = 2048

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host; it is given the port, too."""


def read_subscription(given: object, policy: EgressPolicy | None = None) -> Subscription:
    """Return the subscription that a browser's JSON describes.

    Parameters:
        given: `{"endpoint", "keys": {"p256dh", "auth"}}`. Other fields are ignored. One around it,
            `{"subscription": {…}}`, may stand.
        policy: A host inside that it allows may have a plain `http://` endpoint. Default: none may.

    Raises:
        InvalidOptionError: It is none; the message names the field.
    """
    found = _object("subscription", given)
    if "endpoint" not in found and "subscription" in found:
        found = _object("subscription", found["subscription"])
    endpoint = _text("endpoint", found.get("endpoint"))
    check_endpoint(endpoint, policy)
    keys = _object("keys", found.get("keys"))
    subscription = Subscription(
        endpoint=endpoint,
        p256dh=_text("keys.p256dh", keys.get("p256dh")),
        auth=_text("keys.auth", keys.get("auth")),
    )
    _, auth = decode_keys(subscription)
    point = decoded(subscription.p256dh) or b""
    return Subscription(endpoint=endpoint, p256dh=encoded(point), auth=encoded(auth))


async def check_reachable(
    endpoint: str, policy: EgressPolicy, *, resolve: Resolve | None = None
) -> None:
    """Refuse an endpoint that is, or whose name is, in a network that requests may not reach.

    A name that cannot be resolved now is taken: the name server may be away. The check that counts
    is the one of each request.

    Raises:
        InvalidOptionError: It is; the message says how to allow it.
    """
    host = urlsplit(endpoint).hostname or ""
    if policy.allows_host(host):
        return
    try:
        addresses = list(await (resolve or _ask_system)(host, 443))
    except OSError:
        return
    if not all(map(policy.allows, addresses)):
        raise InvalidOptionError(f"endpoint: {policy.refusal(host, addresses)}")


def check_endpoint(endpoint: str, policy: EgressPolicy | None = None) -> None:
    """Refuse what is no endpoint of a push service: `https`, but for allowed hosts inside.

    Raises:
        InvalidOptionError: It is none.
    """
    shown = endpoint[:60]
    if len(endpoint) > MAX_ENDPOINT_CHARS:
        raise InvalidOptionError(
            f"endpoint={shown!r}…: expected at most {MAX_ENDPOINT_CHARS} characters"
        )
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    plain = endpoint.isascii() and not any(char.isspace() for char in endpoint)
    good = host is not None and plain and "@" not in parts.netloc
    if good and parts.scheme == "http" and policy is not None:
        good = policy.allows_host(str(host)) or _is_allowed_inside(str(host), policy)
    else:
        good = good and parts.scheme == "https"
    if not good:
        raise InvalidOptionError(f"endpoint={shown!r}: expected a URL with https://")


def decode_keys(subscription: Subscription) -> tuple[PublicKey, bytes]:
    """Return the browser's public key and the shared 16 bytes.

    Raises:
        InvalidOptionError: One of them is none; the message names it.
    """
    point = decoded(subscription.p256dh)
    key = None if point is None else read_point(point)
    if key is None:
        raise InvalidOptionError(
            f"keys.p256dh: expected {POINT_BYTES} bytes in base64url, an uncompressed point of"
            " P-256"
        )
    auth = decoded(subscription.auth)
    if auth is None or len(auth) != AUTH_BYTES:
        raise InvalidOptionError(f"keys.auth: expected {AUTH_BYTES} bytes in base64url")
    return key, auth


def _is_allowed_inside(host: str, policy: EgressPolicy) -> bool:
    return policy.allows(host) and not EgressPolicy().allows(host)


def _object(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidOptionError(f"{name}: expected an object, as PushSubscription.toJSON() gives")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        problem = "missing" if value is None else "expected a text"
        raise InvalidOptionError(f"{name}: {problem}")
    return value


async def _ask_system(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))
