"""Which queues this process uses: they are on the register, and fit to be used."""

from __future__ import annotations

import time
from contextlib import suppress

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.core.errors import BackendError, StoreForeignError
from toril.version import VERSION

AGAIN_S = 60.0
"""The register may have been emptied (FLUSHALL): each queue is put on it again after so long."""


class KnownQueues:
    """Checks a queue when it is first used, and now and then again."""

    def __init__(self, client: Client, keys: Keys) -> None:
        self._client = client
        self._keys = keys
        self._fit_until_s: dict[str, float] = {}
        self._served_until_s: dict[str, float] = {}
        self._announced_until_s: dict[str, float] = {}
        self._names: set[str] = set()
        self._names_read_s = float("-inf")

    async def use(self, queue: str) -> None:
        """Make sure that a queue may be added to.

        Raises:
            StoreForeignError: BullMQ 5 has set jobs of it aside, which its resume would lose.
        """
        if self._fit_until_s.get(queue, 0.0) > time.monotonic():
            return
        keys = self._keys
        if await self._client.call("EXISTS", keys.of(queue, "paused")):
            version = await self._client.call("HGET", keys.meta(queue), "version")
            raise StoreForeignError(
                f"{self._client.address.shown}: queue {queue!r} was paused by"
                f" {version or 'a version of BullMQ before 6'}, which has set its jobs aside; with"
                " its own resume they would overwrite what is added now. Stop what still uses that"
                f" version, then run: toril resume {queue}"
            )
        self._fit_until_s[queue] = time.monotonic() + AGAIN_S

    def is_ready(self, queue: str) -> bool:
        """Return whether a queue may be added to, and is on the register, as of a moment ago."""
        now_s = time.monotonic()
        return (
            self._fit_until_s.get(queue, 0.0) > now_s
            and self._announced_until_s.get(queue, 0.0) > now_s
        )

    async def serve(self, queue: str) -> None:
        """Make sure that a worker may take the jobs of a queue.

        Raises:
            StoreForeignError: As `use`.
        """
        if self._served_until_s.get(queue, 0.0) > time.monotonic():
            return
        await self.use(queue)
        self._served_until_s[queue] = time.monotonic() + AGAIN_S

    async def announce(self, queue: str) -> None:
        """Put a queue that was added to on the register. The jobs are there, whatever happens."""
        if self._announced_until_s.get(queue, 0.0) > time.monotonic():
            return
        with suppress(BackendError):
            await self._client.call("HSETNX", self._keys.meta(queue), "version", f"toril:{VERSION}")
            await self._client.call("SADD", self._keys.queues, queue)
            self._announced_until_s[queue] = time.monotonic() + AGAIN_S

    async def names(self, hold_s: float) -> set[str]:
        """Return the queues of the register, as they were up to `hold_s` ago, and those used here.

        Only a call that lets them be old, as routine does, is answered from what another such call
        has read.
        """
        if time.monotonic() - self._names_read_s < hold_s:
            return {*self._names, *self._announced_until_s, *self._served_until_s}
        names = set(await self._client.call("SMEMBERS", self._keys.queues))
        if hold_s > 0:
            self._names, self._names_read_s = names, time.monotonic()
        return names

    async def forget(self, queue: str) -> None:
        """Take a queue off the register: it is gone."""
        self._fit_until_s.pop(queue, None)
        self._served_until_s.pop(queue, None)
        self._announced_until_s.pop(queue, None)
        self._names.discard(queue)
        await self._client.call("SREM", self._keys.queues, queue)
