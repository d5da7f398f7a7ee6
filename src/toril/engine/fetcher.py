"""The exchange with the store: outcomes there, claimed jobs back, as many as there are free slots.

While one exchange is under way outcomes pile up and go with the next: batches form by themselves.
Never dead in silence: a store that does not answer is tried again with growing, jittered waits, and
`trouble_since_s` tells the watchdog how long that has been so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreCorruptError,
    StoreForeignError,
)
from toril.engine.contract.dispatch import Claim, Dispatch, Exchange, ExchangeReply
from toril.engine.fetch_plan import FetchPlan
from toril.engine.job import Claimed, Finished

log = logging.getLogger("toril.worker")

IDLE_S = 30.0
"""Longest sleep without looking: a safeguard, since every change wakes the sleeper."""
MOST_TOGETHER = 250
"""Outcomes in one exchange: about 7 ms of the store's time."""
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 5.0


class Fetcher:
    """The fetch loop of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        worker_id: str,
        plan: FetchPlan,
        capacity: int,
        start: Callable[[Claimed], None],
        lost: Callable[[Finished], None],
        applied: Callable[[Finished], None],
        before: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        """Make a fetcher.

        Parameters:
            start: Takes each claimed job.
            lost: Takes outcomes that came too late and changed nothing.
            applied: Takes outcomes that the store has.
            before: Called before each exchange, to send what must arrive sooner.
            idle: Called when nothing is held and nothing can be taken.
        """
        self._dispatch = dispatch
        self._worker_id = worker_id
        self._plan = plan
        self._capacity = capacity
        self._start = start
        self._lost = lost
        self._applied = applied
        self._before = before
        self._idle = idle
        self._outbox: list[Finished] = []
        self._busy = 0
        self._quiet = False
        self._ended = False
        self._fatal: BackendError | None = None
        self._changed = asyncio.Event()
        self._sleeper: asyncio.Task[None] | None = None
        self._retry_s = FIRST_RETRY_S
        self.trouble: BackendError | None = None
        """Why the store does not answer. None: it does."""
        self.trouble_since_s = 0.0
        """Since when, on `time.monotonic`."""

    @property
    def busy(self) -> int:
        """Slots in use, those included whose outcome has not reached the store."""
        return self._busy

    def finished(self, outcome: Finished) -> None:
        """Take an outcome along on the next exchange."""
        self._outbox.append(outcome)
        self._changed.set()

    def quiet(self) -> None:
        """Claim nothing more."""
        self._quiet = True
        self._changed.set()

    def look(self) -> None:
        """Ask the store now, in place of waiting for it to wake us: it may be in trouble."""
        self._changed.set()

    def give_up(self, error: BackendError) -> None:
        """Make `run` raise."""
        self._fatal = error
        self._changed.set()

    def end(self) -> None:
        """Return from `run` once everything has been handed over."""
        self._quiet = self._ended = True
        self._changed.set()

    async def run(self) -> None:
        """Exchange until `end()` was called and nothing is held any more.

        Raises:
            BackendError: The store can never answer again: it was closed, its file is damaged or
                not ours.
        """
        try:
            while not (self._ended and self._busy == 0 and not self._outbox):
                await self._cycle()
        finally:
            await self._stop_sleeping()

    async def _cycle(self) -> None:
        if self._fatal is not None:
            raise self._fatal
        self._changed.clear()
        outcomes = self._outbox[:MOST_TOGETHER]
        del self._outbox[:MOST_TOGETHER]
        claims = [] if self._quiet else self._plan.claims(self._room(outcomes))
        if not claims:
            # Whoever sleeps takes the wake-ups of others: not while there is no room for a job.
            await self._stop_sleeping()
        if not outcomes and not claims:
            await self._changed.wait()
            return
        reply = await self._exchange(outcomes, claims)
        if reply is None:
            return
        self._busy += len(reply.claimed) - len(outcomes)
        for outcome, word in zip(outcomes, reply.words, strict=True):
            if word == "lease_lost":
                self._lost(outcome)
            else:
                self._applied(outcome)
        for claimed in reply.claimed:
            self._start(claimed)
        if not self._outbox and not self._quiet and self._busy < self._capacity:
            if self._busy == 0:
                self._idle()
            await self._sleep(reply)

    def _room(self, outcomes: Sequence[Finished]) -> int:
        return self._capacity - self._busy + len(outcomes)

    async def _exchange(
        self, outcomes: list[Finished], claims: Sequence[Claim]
    ) -> ExchangeReply | None:
        self._before()
        exchange = Exchange(self._worker_id, outcomes, claims, self._room(outcomes))
        try:
            # Shielded: what the store has claimed for us must reach a slot, or be given back.
            reply = await asyncio.shield(asyncio.ensure_future(self._dispatch.exchange(exchange)))
        except (BackendClosedError, StoreCorruptError, StoreForeignError):
            raise
        except BackendError as error:
            self._outbox = outcomes + self._outbox
            await self._wait_out(error)
            return None
        if self.trouble is not None:
            log.warning("the store answers again")
        self.trouble = None
        self._retry_s = FIRST_RETRY_S
        return reply

    async def _wait_out(self, error: BackendError) -> None:
        if self.trouble is None:
            log.error("the store does not answer: %s", error)
            self.trouble_since_s = time.monotonic()
        self.trouble = error
        await asyncio.sleep(self._retry_s * (0.5 + random.random()))  # noqa: S311 - spread only
        self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    async def _sleep(self, reply: ExchangeReply) -> None:
        """Wait for an outcome, for something to claim, or for its time to come."""
        if self._changed.is_set():
            return
        timeout_s = IDLE_S
        if reply.next_due_ms is not None:
            timeout_s = min(timeout_s, max(reply.next_due_ms, 1) / 1000)
        if self._sleeper is None or self._sleeper.done() or reply.next_due_ms is not None:
            await self._stop_sleeping()
            self._sleeper = asyncio.ensure_future(
                self._dispatch.wait(self._plan.queues, reply.seen, timeout_s=timeout_s)
            )
            self._sleeper.add_done_callback(self._woken)
        await self._changed.wait()

    def _woken(self, _: asyncio.Task[None]) -> None:
        self._changed.set()

    async def _stop_sleeping(self) -> None:
        sleeper, self._sleeper = self._sleeper, None
        if sleeper is not None:
            sleeper.remove_done_callback(self._woken)
            sleeper.cancel()
            with suppress(asyncio.CancelledError):
                await sleeper
