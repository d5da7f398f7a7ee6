"""What a pusher promises: one message, one subscription, one verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, Protocol

from toril.core.checks import is_whole, require

MAX_BYTES = 3993
"""Largest plain text: encrypted, it is the 4096 bytes that every push service takes.

86 bytes of header, 1 that ends the text and 16 of a tag come to it (RFC 8188, section 2; RFC 8291,
section 4)."""

Urgency = Literal["very-low", "low", "normal", "high"]
VerdictKind = Literal["delivered", "gone", "refused", "later"]

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}")
_URGENCIES = ("very-low", "low", "normal", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Where one browser of one user is reached. `subscribing.py` checks what a browser sends."""

    endpoint: str = field(repr=False)
    """A URL of the browser's push service. Whoever knows it can try to send: a secret."""
    p256dh: str = field(repr=False)
    """The browser's public key: an uncompressed point of P-256 in base64url."""
    auth: str = field(repr=False)
    """16 bytes that the browser shares with who may send, in base64url."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushMessage:
    """What is sent."""

    body: bytes = field(repr=False)
    """What the browser's service worker gets, at most `MAX_BYTES`."""
    ttl_s: int = 86_400
    """How long the push service keeps it for a browser that is away, in seconds. 0: not at all."""
    urgency: Urgency = "normal"
    """A browser that saves power takes only what is urgent enough."""
    topic: str | None = None
    """A later message of the same topic replaces one that still waits. None: it replaces none."""

    def __post_init__(self) -> None:
        size = len(self.body)
        require(size <= MAX_BYTES, "body", f"({size} bytes)", f"at most {MAX_BYTES} bytes")
        good = is_whole(self.ttl_s) and self.ttl_s >= 0
        require(good, "ttl_s", self.ttl_s, "whole seconds, from 0")
        good = self.urgency in _URGENCIES
        require(good, "urgency", self.urgency, f"one of {', '.join(_URGENCIES)}")
        good = self.topic is None or _TOPIC.fullmatch(self.topic) is not None
        require(good, "topic", self.topic, "1 to 32 of letters, digits, '_' and '-'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a message to one subscription."""

    kind: VerdictKind
    """`delivered`: the push service has it. `gone`: the subscription has ended; remove it.
    `refused`: another try would be refused as well. `later`: another try may succeed."""
    reason: str = ""
    """Why, if it was not delivered: a sentence that names the push service, without secrets."""
    retry_after_s: float | None = None
    """With `later`: how long the push service asks to wait, in seconds. None: it does not say."""
    malformed: bool = False
    """With `refused`: the subscription itself can never work."""


DELIVERED = Verdict(kind="delivered")


class Pusher(Protocol):
    """Sends messages. Used on one event loop."""

    async def send(
        self, subscription: Subscription, message: PushMessage, *, timeout_s: float | None = None
    ) -> Verdict:
        """Send a message to one subscription and return what became of it.

        Whatever is wrong with the subscription or its push service is a verdict, and no error.

        Parameters:
            subscription: Whom.
            message: What.
            timeout_s: After how long without an answer it is given up for now, in seconds.
                Default: the pusher's own.
        """
        ...

    async def close(self) -> None:
        """Close its connections. It may be used again."""
        ...
