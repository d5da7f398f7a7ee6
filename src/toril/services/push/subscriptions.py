"""The interface of a store of subscriptions: which browsers of which user are told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from toril.services.push.port import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubscription(Subscription):
    """A subscription of a user."""

    id: str
    """Made of the endpoint: a browser that subscribes again has the same."""
    user_id: str
    created_at: datetime
    """When it was first stored, in UTC."""


class SubscriptionStore(Protocol):
    """A store of subscriptions."""

    async def add(self, user_id: str, subscription: Subscription) -> StoredSubscription:
        """Store a subscription, and return it as stored.

        An endpoint is one browser. If it is stored already, it gets these keys and this user: who
        signed in last is told, and nobody else.
        """
        ...

    async def of_user(self, user_id: str) -> Sequence[StoredSubscription]:
        """Return a user's subscriptions, the oldest first."""
        ...

    async def of_users(self, user_ids: Iterable[str]) -> Mapping[str, Sequence[StoredSubscription]]:
        """Return the subscriptions of several users; one without any has an empty list."""
        ...

    async def remove(self, subscription_id: str) -> bool:
        """Remove a subscription. False: there is none of this id."""
        ...

    async def remove_endpoint(self, user_id: str, endpoint: str) -> bool:
        """Remove the subscription of this endpoint if it is this user's. False: there is none."""
        ...

    async def page(
        self, *, after: str | None = None, limit: int = 100
    ) -> Sequence[StoredSubscription]:
        """Return the next subscriptions, by their ids.

        Parameters:
            after: The id of the last one of the page before. Default: from the beginning.
            limit: How many at most, from 1.
        """
        ...

    async def close(self) -> None:
        """Let go of the database. The subscriptions stay."""
        ...


def subscription_id(endpoint: str) -> str:
    """Return the id of a subscription: the same for the same endpoint, and for no other."""
    return "ps-" + hashlib.blake2b(endpoint.encode(), digest_size=12).hexdigest()
