"""Which queues this process uses: they are on the register, and fit to be used."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import suppress

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError, StoreForeignError
from toril.version import VERSION

AGAIN_S = 60.0
"""The register may have been emptied (FLUSHALL): each queue is put on it again after so long."""
POLL_S = 1.0
"""Longest sleep of a worker beside producers that write no marker: Bull 4."""
SILENT_AGAIN_S = 10.0
"""A queue whose producers may write no marker is looked at again after so long."""
SILENT_HOLD_S = 3600.0
"""For how long a queue is polled to which a job came that woke nobody."""


class KnownQueues:
    """Checks a queue when it is first used, and now and then again."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._fit_until_s: dict[str, float] = {}
        self._served_until_s: dict[str, float] = {}
        self._announced_until_s: dict[str, float] = {}
        self._silent_until_s: dict[str, float] = {}
        self._names: set[str] = set()
        self._names_read_s = float("-inf")

    async def use(self, queue: str) -> None:
        """Make sure that a queue may be added to.

        Raises:
            StoreForeignError: An old Bull has set jobs of it aside and does not say in `meta` that
                the queue is paused. Its resume would lose what is added meanwhile.
        """
        if self._fit_until_s.get(queue, 0.0) > time.monotonic():
            return
        keys = self._keys
        if await self._client.call("EXISTS", keys.of(queue, "paused")):
            meta = keys.meta(queue)
            version, paused = await self._client.call("HMGET", meta, "version", "paused")
            if paused is None:  # else what is added is set aside too (`open_queue.lua`)
                raise StoreForeignError(
                    f"{self._client.address.shown}: queue {queue!r} was paused by"
                    f" {version or 'a Bull before 4.16'}, which has set its jobs aside; with its"
                    " own resume they would overwrite what is added now. Stop what still uses that"
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
            StoreForeignError: As `use`; or it has schedules of BullMQ, whose next job has to be
                made by the worker that takes the one before, which ours does not do.
        """
        if self._served_until_s.get(queue, 0.0) > time.monotonic():
            return
        schedules = self._keys.of(queue, "repeat")
        if await self._client.call("EXISTS", self._keys.of(queue, "paused"), schedules):
            await self.use(queue)
            if await self._client.call("EXISTS", schedules):
                raise StoreForeignError(
                    f"{self._client.address.shown}: queue {queue!r} has job schedulers of BullMQ,"
                    " which would end with the first job that is worked here. Let Node's workers"
                    " serve this queue, or have the schedulers add to a queue of their own"
                )
        await self.enlist([queue])
        again_s = SILENT_AGAIN_S if await self._is_silent(queue) else AGAIN_S
        self._served_until_s[queue] = time.monotonic() + again_s

    async def _is_silent(self, queue: str) -> bool:
        """Note whether jobs may come to a queue without a wake-up, and return it."""
        bull, version = await self._client.run(
            script("look_for_bull"), [self._keys.meta(queue)], self._moments.frozen(), "yes"
        )
        if bull or version is None:
            self._note_silent(queue, 2 * SILENT_AGAIN_S)
        return self._silent_until_s.get(queue, 0.0) > time.monotonic()

    def poll_s(self, queues: Iterable[str], sleep_s: float) -> float:
        """Return how long a worker of these queues may sleep before it looks."""
        if not self._silent_until_s:
            return sleep_s
        now_s = time.monotonic()
        polls = any(self._silent_until_s.get(queue, 0.0) > now_s for queue in queues)
        return min(sleep_s, POLL_S) if polls else sleep_s

    def note_silent(self, queue: str) -> None:
        """Note that a job came to a queue and woke nobody."""
        self._note_silent(queue, SILENT_HOLD_S)

    def _note_silent(self, queue: str, hold_s: float) -> None:
        until_s = time.monotonic() + hold_s
        self._silent_until_s[queue] = max(until_s, self._silent_until_s.get(queue, 0.0))

    async def enlist(self, queues: Collection[str]) -> None:
        """Put queues that this process uses, or has found, on the register."""
        if queues:
            with suppress(BackendError):  # a user may be allowed to look only
                await self._client.call("SADD", self._keys.queues, *sorted(queues))

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
        self._silent_until_s.pop(queue, None)
        self._names.discard(queue)
        await self._client.call("SREM", self._keys.queues, queue)
