"""Keeps messages in memory, for tests."""

from __future__ import annotations

from toril.core.errors import InvalidOptionError
from toril.services.push.port import DELIVERED, PushMessage, Subscription, Verdict
from toril.services.push.subscribing import decode_keys


class MemoryPusher:
    """A `Pusher` whose messages are in `sent`."""

    def __init__(self) -> None:
        self.sent: list[tuple[Subscription, PushMessage]] = []
        """What was delivered, in order."""
        self.verdicts: dict[str, Verdict] = {}
        """What the test wants to become of messages to an endpoint. Others are delivered."""

    async def send(
        self, subscription: Subscription, message: PushMessage, *, timeout_s: float | None = None
    ) -> Verdict:
        """Keep a message: see `Pusher.send`."""
        try:
            decode_keys(subscription)
        except InvalidOptionError as error:
            return Verdict(kind="refused", reason=str(error), malformed=True)
        verdict = self.verdicts.get(subscription.endpoint, DELIVERED)
        if verdict.kind == "delivered":
            self.sent.append((subscription, message))
        return verdict

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""
