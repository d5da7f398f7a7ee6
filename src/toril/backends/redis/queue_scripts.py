"""Runs a script that is about one queue and needs the time. Several roles share it."""

from __future__ import annotations

from typing import Any

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script


class QueueScripts:
    """The scripts whose only key is a queue's `meta`, and whose first argument is the time."""

    __slots__ = ("_client", "_keys", "_moments")

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def run(self, name: str, queue: str, *arguments: str | int) -> Any:
        """Run a script on a queue and return its answer."""
        return await self._client.run(
            script(name), [self._keys.meta(queue)], self._moments.frozen(), *arguments
        )
