"""How an idle worker learns of new jobs: by a blocking claim, or by a sleeper that the store wakes.

A blocking claim is an exchange that the store answers once there is a job, with that job. It covers
a few of the free slots, and nothing else may fill them meanwhile. Where the store has no such claim
the sleeper waits for any change, and the worker then polls. Either way a timer polls when the store
has said that something becomes due.

This module decides how to wait. The fetcher sends the claims, and polls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from toril.core.loggers import logger
from toril.engine.contract.dispatch import BlockingClaim, Dispatch, ExchangeReply

log = logger("toril.worker")

MAX_SLEEP_S = 30.0
"""Longest sleep without a poll: a safeguard, since every change wakes the sleeper."""
MAX_BLOCKING = 4
"""Most jobs of a blocking claim. If this machine dies in silence, so many may still be claimed for
it afterwards. When a claim comes back full, the worker polls for what its other slots can take."""


class Idling:
    """The waiting of one worker that has free slots and found no job for them."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        queues: Sequence[str],
        lease_ms: int,
        poll: Callable[[], None],
    ) -> None:
        """Make it; nothing waits yet.

        Parameters:
            dispatch: The store's.
            queues: Which queues to wait for.
            lease_ms: The lease of a claim.
            poll: Called on the event loop when there may be something to claim.
        """
        self._dispatch = dispatch
        self._queues = queues
        self._lease_ms = lease_ms
        self._poll = poll
        self._loop = asyncio.get_running_loop()
        self._claimer: BlockingClaim | None = None
        self._sleeper: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None
        self._due_from: ExchangeReply | None = None
        """The reply that set the timer."""

    def wait(self, reply: ExchangeReply, *, blocks: bool = True) -> BlockingClaim | None:
        """Wait for a job. Repeated calls change nothing but the time of the next poll.

        Parameters:
            reply: The latest of the store's.
            blocks: Whether a blocking claim would do. Otherwise the sleeper waits.

        Returns:
            By what to make a blocking claim, if none is in flight. None: the sleeper waits.
        """
        if not blocks:
            self._sleep(reply)
            return None
        if self._claimer is None:
            self._claimer = self._dispatch.standing(lease_ms=self._lease_ms)
        if self._claimer is None:
            self._sleep(reply)
        elif reply is not self._due_from:
            self._due_from = reply
            self._poll_when_due(reply.next_due_ms)
        return self._claimer

    def stop_sleeping(self) -> None:
        """End the sleeper, if there is one, without a poll."""
        if self._sleeper is not None:
            self._sleeper.cancel()
            self._sleeper = None

    def end_claim(self) -> None:
        """Have a blocking claim return soon, with what it may have claimed by then."""
        if self._claimer is not None:
            self._claimer.release()

    async def close(self) -> None:
        """Stop waiting. A claim in flight is lost, unless its worker waits for it first."""
        if self._due is not None:
            self._due.cancel()
        self.stop_sleeping()
        if self._claimer is not None:
            await self._claimer.close()

    def _poll_when_due(self, due_ms: int | None) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if due_ms is not None:
            self._due = self._loop.call_later(max(due_ms, 1) / 1000, self._poll)

    def _sleep(self, reply: ExchangeReply) -> None:
        timeout_s = MAX_SLEEP_S
        if reply.next_due_ms is not None:
            timeout_s = min(timeout_s, max(reply.next_due_ms, 1) / 1000)
        if self._sleeper is None or self._sleeper.done() or reply.next_due_ms is not None:
            self.stop_sleeping()
            self._sleeper = self._loop.create_task(
                self._wait(reply.seen, timeout_s), name="toril-sleeper"
            )

    async def _wait(self, seen: int, timeout_s: float) -> None:
        try:
            await self._dispatch.wait(self._queues, seen, timeout_s=timeout_s)
        except Exception as error:  # the poll will show what is wrong with the store
            log.debug("polling at once, since the store cannot be waited for: %s", error)
        self._poll()
