"""Checks that queues are on the register and can be used, and remembers it for a minute."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.problems import Problems
from toril.backends.redis.scripts import script
from toril.core.errors import BackendError, StoreForeignError
from toril.engine.contract.dispatch import Claim
from toril.version import VERSION

AGAIN_S = 60.0
"""The register may have been emptied (FLUSHALL): each queue is put on it again after so long."""
REFUSED_AGAIN_S = 1.0
"""A queue that was refused beside others is looked at again after so long."""
POLL_S = 1.0
"""Longest sleep of a worker beside producers that write no marker: Bull 4."""
SILENT_AGAIN_S = 10.0
"""A queue whose producers may write no marker is looked at again after so long."""
SILENT_HOLD_S = 3600.0
"""For how long a queue is polled to which a job came that woke nobody."""


class QueueRegister:
    """Checks a queue when it is first used, and now and then again."""

    def __init__(self, client: Client, keys: Keys, moments: Moments, problems: Problems) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._problems = problems
        self._refused: dict[str, tuple[float, StoreForeignError]] = {}
        """Until when it is not looked at again, and why it was refused."""
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
        if await self._client.call("TYPE", keys.of(queue, "paused")) == "list":
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

    def serves(self, claims: Sequence[Claim]) -> bool:
        """Return whether a worker may take the jobs of all claims, as of a moment ago."""
        now_s, until_s = time.monotonic(), self._served_until_s
        for claim in claims:  # in place of `all`, which costs twice as much: for each exchange
            if until_s.get(claim.queue, 0.0) <= now_s:
                return False
        return True

    async def served(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return the claims on queues whose jobs a worker may take.

        The refusal of a queue is logged, and the worker's other queues go on.

        Raises:
            StoreForeignError: Every queue is refused. Why the first one is.
        """
        fit: list[Claim] = []
        refusals: dict[str, StoreForeignError] = {}
        for claim in claims:
            try:
                await self._serve(claim.queue)
            except StoreForeignError as error:
                refusals[claim.queue] = error
            else:
                fit.append(claim)
        if not fit:
            raise next(iter(refusals.values()))
        for queue, refusal in refusals.items():
            self._problems.refuse(queue, str(refusal))
        return fit

    def is_refused(self, queue: str) -> bool:
        """Return whether a queue was refused when it was last looked at."""
        return queue in self._refused

    async def _serve(self, queue: str) -> None:
        """Make sure that a worker may take the jobs of a queue.

        Raises:
            StoreForeignError: As `use`.
        """
        now_s = time.monotonic()
        if self._served_until_s.get(queue, 0.0) > now_s:
            return
        until_s, refusal = self._refused.pop(queue, (0.0, None))
        try:
            if refusal is not None and until_s > now_s:
                raise refusal.with_traceback(None)
            await self._look(queue)
        except StoreForeignError as error:
            until_s = until_s if error is refusal else time.monotonic() + REFUSED_AGAIN_S
            self._refused[queue] = until_s, error
            raise
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

    async def _look(self, queue: str) -> None:
        schedules = self._keys.of(queue, "repeat")
        if not await self._client.call("EXISTS", self._keys.of(queue, "paused"), schedules):
            return
        await self.use(queue)
        kind = await self._client.call("TYPE", schedules)
        if kind not in ("none", "zset"):
            self._problems.report(
                queue, f"its key '…:{queue}:repeat' is a {kind} and no zset of schedules"
            )

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
        self._refused.pop(queue, None)
        self._announced_until_s.pop(queue, None)
        self._silent_until_s.pop(queue, None)
        self._names.discard(queue)
        await self._client.call("SREM", self._keys.queues, queue)
