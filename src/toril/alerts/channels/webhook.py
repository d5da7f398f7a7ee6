"""Sends messages as signed JSON to a URL."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from toril.alerts.channels.signing import secret_bytes, signed_headers
from toril.alerts.message import AlertMessage
from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.core.redact import without_password
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import HttpClient, HttpError, HttpLimits
from toril.version import VERSION

LIMITS = HttpLimits(total_s=15.0, connect_s=5.0, max_bytes=64 * 1024, max_redirects=0)


class WebhookChannel:
    """Posts messages to a URL, signed so that the receiver knows whose they are."""

    def __init__(
        self,
        url: str,
        *,
        secret: str | Sequence[str],
        name: str = "webhook",
        headers: Mapping[str, str] | None = None,
        allow: Iterable[str] | None = None,
        client: HttpClient | None = None,
    ) -> None:
        """Make a channel. It needs the extra `http`.

        Parameters:
            url: Where to. Any answer from 200 to 299 means that the message has arrived.
            secret: A text of 24 bytes or more, or `whsec_` and base64. Several: each signs, so that
                the receiver can change from one to another.
            name: What the log calls the channel.
            headers: Further ones.
            allow: Hosts and networks of yours that it may reach although they are not public.
                Default: `TORIL_EGRESS_ALLOW`.
            client: In place of one of its own.

        Raises:
            InvalidOptionError: The URL or the secret is none.
        """
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        require(good, "url", without_password(url), "one with http:// or https://")
        words = [secret] if isinstance(secret, str) else list(secret)
        if not words:
            raise InvalidOptionError("secret: expected at least one")
        self.name = name
        self._url = url
        self._secrets = [secret_bytes(word) for word in words]
        self._headers = {**(headers or {})}
        self._allow = None if allow is None else EgressPolicy(allow)
        self._client = client

    def __repr__(self) -> str:
        return f"WebhookChannel({self.name!r})"

    def allow_by_default(self, allow: Iterable[str]) -> None:
        """Take what the settings allow, unless the channel says it itself."""
        if self._allow is None:
            self._allow = EgressPolicy(allow)

    async def send(self, message: AlertMessage) -> None:
        """Post a message.

        Raises:
            HttpError: It did not arrive; the message says why.
        """
        from toril.services.http.aio import AioHttpClient  # every program imports this module

        # A client for each: messages are rare, and nothing is left open between them.
        client = self._client or AioHttpClient(self._allow)
        body = msgspec.json.encode(message.plain())
        headers = {
            "content-type": "application/json",
            "user-agent": f"toril/{VERSION}",
            **self._headers,
            **signed_headers(self._secrets, message.id, body, now_s=int(time.time())),
        }
        try:
            reply = await client.request(
                "POST", self._url, headers=headers, body=body, limits=LIMITS
            )
        finally:
            if client is not self._client:
                await client.close()
        if not reply.ok:
            host = urlsplit(self._url).hostname
            raise HttpError(f"{host} answered {reply.status}; expected 200 to 299")
