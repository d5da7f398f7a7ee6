"""What push tasks need, in one object; and the same without a queue: subscribing, and sending."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any

import msgspec

from toril.core.errors import InvalidOptionError
from toril.library.push.payloads import PushPayload
from toril.library.push.settings import PushSettings
from toril.services.push.fitting import fitted
from toril.services.push.folder import FolderPusher
from toril.services.push.port import Pusher, PushMessage, Verdict
from toril.services.push.subscribing import check_reachable, read_subscription
from toril.services.push.subscriptions import StoredSubscription, SubscriptionStore
from toril.services.push.web_push import WebPusher

_KNOWN = frozenset(PushPayload.__struct_fields__)


class PushService:
    """Subscribes browsers and sends them messages. Made anywhere; used on one event loop.

    Parameters:
        settings: Default: from the environment.
        pusher: What sends. Default: Web Push with `settings.vapid`; without keys, a folder.
        subscriptions: Where subscriptions are. Default: `settings.database_url`.

    Raises:
        InvalidOptionError: The settings make no sense.
        MissingExtraError: `toril[push]` is not installed.
    """

    def __init__(
        self,
        settings: PushSettings | None = None,
        *,
        pusher: Pusher | None = None,
        subscriptions: SubscriptionStore | None = None,
    ) -> None:
        self.settings = settings if settings is not None else PushSettings.from_environment()
        self.pusher = pusher if pusher is not None else _pusher(self.settings)
        self.subscriptions = (
            subscriptions if subscriptions is not None else _subscriptions(self.settings)
        )

    @property
    def public_key(self) -> str:
        """The key that browsers subscribe with, in base64url.

        Raises:
            InvalidOptionError: There are no keys.
        """
        if self.settings.vapid is None:
            raise InvalidOptionError(
                "VAPID_PUBLIC_KEY is not set: browsers cannot subscribe; `toril vapid` makes keys"
            )
        return self.settings.vapid.public_key

    async def subscribe(self, user_id: str, subscription: object) -> StoredSubscription:
        """Store a browser's subscription.

        Parameters:
            user_id: Whose browser it is: from the session, never from the browser's words.
            subscription: What `PushSubscription.toJSON()` gave.

        Raises:
            InvalidOptionError: It is none, or its endpoint is on a private address; the message
                names the field.
        """
        policy = self.settings.policy
        read = read_subscription(subscription, policy)
        await check_reachable(read.endpoint, policy)
        return await self.subscriptions.add(user_id, read)

    async def unsubscribe(self, user_id: str, endpoint: str) -> bool:
        """Remove a user's subscription. False: the user has none of this endpoint."""
        return await self.subscriptions.remove_endpoint(user_id, endpoint)

    def message(self, payload: PushPayload, more: Mapping[str, Any] | None = None) -> PushMessage:
        """Return what is sent for a payload; its `body` is cut if it is too large.

        Parameters:
            payload: The message.
            more: Further members. One that the payload has itself is left out.

        Raises:
            UnusableInputError: It is too large even without its body.
        """
        known = {name: value for name, value in _members(payload).items() if value is not None}
        others = {name: value for name, value in (more or {}).items() if name not in _KNOWN}
        return PushMessage(
            body=fitted({**known, **others}),
            ttl_s=self.settings.ttl_s,
            urgency=self.settings.urgency,
        )

    async def send(self, user_id: str, payload: PushPayload) -> list[Verdict]:
        """Send a message to all browsers of a user, once each; a queue also tries again.

        Returns:
            A verdict for each subscription. Those that have ended are removed.
        """
        message = self.message(payload)
        verdicts = []
        for subscription in await self.subscriptions.of_user(user_id):
            verdict = await self.pusher.send(subscription, message)
            if verdict.kind == "gone" or verdict.malformed:
                await self.subscriptions.remove(subscription.id)
            verdicts.append(verdict)
        return verdicts

    async def close(self) -> None:
        """Close connections and the database. It may be used again."""
        await self.pusher.close()
        await self.subscriptions.close()

    async def __aenter__(self) -> PushService:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _members(payload: PushPayload) -> dict[str, Any]:
    return msgspec.structs.asdict(payload)


def _pusher(settings: PushSettings) -> Pusher:
    if settings.vapid is None:
        return FolderPusher(settings.folder)
    return WebPusher(settings.vapid, policy=settings.policy, timeout_s=settings.timeout_s)


def _subscriptions(settings: PushSettings) -> SubscriptionStore:
    from toril.services.push.sql_subscriptions import SqlSubscriptions  # SQLAlchemy takes its time

    return SqlSubscriptions(settings.database_url)
