"""Sends messages by Web Push: encrypted for the browser, signed for its push service.

Source: RFC 8030 (the request), with `encryption.py` and `vapid.py`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from toril.core.clock import Clock, SystemClock, moment
from toril.core.errors import InvalidOptionError
from toril.services.http.aio import AioHttpClient
from toril.services.http.egress import EgressPolicy
from toril.services.http.port import (
    EgressRefusedError,
    HttpClient,
    HttpError,
    HttpLimits,
    HttpReply,
    HttpTooLargeError,
)
from toril.services.push.encryption import encrypted
from toril.services.push.port import DELIVERED, PushMessage, Subscription, Verdict
from toril.services.push.subscribing import decode_keys
from toril.services.push.vapid import VapidKeys, VapidTokens

TIMEOUT_S = 10.0
"""How long a push service may take to answer, in seconds."""
CONNECT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024

_GONE = frozenset({404, 410})
_LATER = frozenset({408, 425, 429})
_WHY = {
    400: "the request was refused",
    401: "the VAPID keys were refused",
    403: "the VAPID keys are not those that the browser subscribed with",
    413: "the message is too large",
}


class WebPusher:
    """A `Pusher` by Web Push. It needs the extra `push`.

    Parameters:
        keys: The application's.
        policy: Where requests may go. Default: to public addresses only.
        client: In place of one of its own. It is not closed with the pusher.
        timeout_s: How long a push service may take to answer, in seconds.
        clock: For tokens, and for moments at which a push service wants to be asked again.
    """

    def __init__(
        self,
        keys: VapidKeys,
        *,
        policy: EgressPolicy | None = None,
        client: HttpClient | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Clock | None = None,
    ) -> None:
        self.public_key = keys.public_key
        self._clock = clock or SystemClock()
        self._tokens = VapidTokens(keys, clock=self._clock)
        self._owns_client = client is None
        self._client = client or AioHttpClient(policy)
        self._limits = _limits(timeout_s)

    async def send(
        self, subscription: Subscription, message: PushMessage, *, timeout_s: float | None = None
    ) -> Verdict:
        """Send a message: see `Pusher.send`."""
        endpoint = subscription.endpoint
        try:
            receiver, auth = decode_keys(subscription)
        except InvalidOptionError as error:
            return Verdict(kind="refused", reason=str(error), malformed=True)
        try:
            reply = await self._client.request(
                "POST",
                endpoint,
                headers=self._headers(endpoint, message),
                body=encrypted(message.body, receiver, auth),
                limits=self._limits if timeout_s is None else _limits(timeout_s),
            )
        except (InvalidOptionError, ValueError):
            return Verdict(kind="refused", reason="the endpoint is no URL", malformed=True)
        except EgressRefusedError as error:
            return Verdict(kind="refused", reason=str(error))
        except HttpTooLargeError:
            # The status came before it, and with it the message: another try would be a second one.
            return Verdict(kind="refused", reason=f"{_host(endpoint)}: its answer is too large")
        except HttpError as error:
            return Verdict(kind="later", reason=_without(endpoint, str(error)))
        return self._judged(endpoint, reply)

    async def close(self) -> None:
        """Close its connections, if the client is its own."""
        if self._owns_client:
            await self._client.close()

    def _headers(self, endpoint: str, message: PushMessage) -> dict[str, str]:
        headers = {
            "authorization": self._tokens.authorization(endpoint),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(message.ttl_s),
            "urgency": message.urgency,
        }
        if message.topic is not None:
            headers["topic"] = message.topic
        return headers

    def _judged(self, endpoint: str, reply: HttpReply) -> Verdict:
        if reply.ok:
            return DELIVERED
        status, host = reply.status, _host(endpoint)
        if status in _GONE:
            return Verdict(kind="gone", reason=f"{host} answered {status}: the subscription ended")
        if status in _LATER or status >= 500:
            wait_s = self._wait_s(reply.headers.get("retry-after"))
            reason = f"{host} answered {status}"
            return Verdict(kind="later", reason=reason, retry_after_s=wait_s)
        reason = f"{host} answered {status}"
        if status in _WHY:
            reason += f": {_WHY[status]}"
        return Verdict(kind="refused", reason=reason)

    def _wait_s(self, text: str | None) -> float | None:
        """Return the seconds of `Retry-After`: a number, or a moment. None: it says nothing."""
        if text is None:
            return None
        text = text.strip()
        if text.isascii() and text.isdecimal():
            return float(text[:12])
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        now: datetime = moment(self._clock.now_ms())
        return max(0.0, (at - now).total_seconds())


def _limits(timeout_s: float) -> HttpLimits:
    return HttpLimits(
        total_s=timeout_s,
        connect_s=min(CONNECT_S, timeout_s),
        max_bytes=MAX_ANSWER_BYTES,
        max_redirects=0,  # the token is for one push service, and names it
    )


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc


def _without(endpoint: str, text: str) -> str:
    """Return a reason without the endpoint's path, which is a secret."""
    parts = urlsplit(endpoint)
    return text.replace(f"{parts.scheme}://{parts.netloc}{parts.path}", parts.netloc)
