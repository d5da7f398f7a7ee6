"""Keeps subscriptions in memory, for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from toril.core.checks import require
from toril.core.clock import Clock, SystemClock, moment
from toril.services.push.port import Subscription
from toril.services.push.subscriptions import StoredSubscription, subscription_id


class MemorySubscriptions:
    """A `SubscriptionStore` that ends with its process.

    Parameters:
        clock: Where `created_at` comes from.
    """

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._held: dict[str, StoredSubscription] = {}

    async def add(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        """Store a subscription."""
        found = subscription_id(subscription.endpoint)
        before = self._held.get(found)
        stored = StoredSubscription(
            id=found,
            user_id=user_id,
            endpoint=subscription.endpoint,
            p256dh=subscription.p256dh,
            auth=subscription.auth,
            created_at=before.created_at if before else moment(self._clock.now_ms()),
        )
        self._held[found] = stored
        return stored

    async def of_user(self, user_id: str) -> Sequence[StoredSubscription]:
        """Return a user's subscriptions."""
        mine = [one for one in self._held.values() if one.user_id == user_id]
        return sorted(mine, key=lambda one: (one.created_at, one.id))

    async def of_users(self, user_ids: Iterable[str]) -> Mapping[str, Sequence[StoredSubscription]]:
        """Return the subscriptions of several users."""
        return {user_id: await self.of_user(user_id) for user_id in user_ids}

    async def remove(self, subscription_id: str) -> bool:
        """Remove a subscription."""
        return self._held.pop(subscription_id, None) is not None

    async def remove_endpoint(self, user_id: str, endpoint: str) -> bool:
        """Remove a user's subscription."""
        found = self._held.get(subscription_id(endpoint))
        if found is None or found.user_id != user_id:
            return False
        del self._held[found.id]
        return True

    async def page(
        self, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredSubscription]:
        """Return the next subscriptions."""
        require(limit >= 1, "limit", limit, "an integer from 1")
        ids = sorted(one for one in self._held if after is None or one > after)
        return [self._held[one] for one in ids[:limit]]

    async def close(self) -> None:
        """Do nothing."""
