"""Jobs for code that brings its own loop: claim, then complete or fail, one by one.

All else is a worker's: leases, outcomes with retries, dead letters and flows, hooks, the register,
and a sweep for jobs of dead workers. What a worker does and this does not: it calls no task, so
there is no middleware around attempts, and no time limit.

Read next: `claimed_job.py` (what one does with a job), `claim_holder.py` (what holds it).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from toril.core.checks import is_whole, require
from toril.core.durations import seconds
from toril.core.errors import BackendError, InvalidOptionError
from toril.core.ids import new_worker_id
from toril.engine.claim_holder import ClaimHolder, ClaimSetup
from toril.engine.claimed_job import ClaimedJob
from toril.engine.contract import Backend

LONGEST_SLEEP_S = 30.0
"""Longest wait for work between two claims, in seconds: a safeguard, as every change wakes it."""


class Claims:
    """Claims jobs of some queues, for code that brings its own loop. Made by `app.claims`.

    Use it as a context manager, `async with` or `with`; once each.
    """

    def __init__(self, backend: Callable[[], Backend], setup: ClaimSetup) -> None:
        """Make claims; the store is asked when they are entered.

        Parameters:
            backend: Gives the store.
            setup: What the app gives.
        """
        self.id = new_worker_id()
        """By which the register of workers knows it."""
        self._backend = backend
        self._setup = setup
        self._holder: ClaimHolder | None = None
        self._closed = False
        self._asked = 0
        """How many jobs may be on their way here."""
        self._sleeping: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        fresh = self._holder is None and not self._closed
        require(fresh, "claims", self.id, "ones that were not entered; make others")
        holder = ClaimHolder(self._backend(), self._setup, self.id)
        await holder.begin()
        self._holder = holder
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._setup.run_sync(self.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._setup.run_sync(self.close())

    @property
    def held(self) -> int:
        """How many jobs are held."""
        return 0 if self._holder is None else len(self._holder.held)

    async def claim(self, *, wait: float | timedelta = 0.0) -> ClaimedJob | None:
        """Claim the next job. None: there is none, or as many are held as may be.

        Parameters:
            wait: How long to wait for one, in seconds or as a timedelta.

        Raises:
            InvalidOptionError: The claims are not entered, or closed.
            BackendError: The store did not answer. A job that it has claimed all the same comes
                with a later claim, or goes to somebody else when its lease ends.
        """
        jobs = await self.claim_many(1, wait=wait)
        return jobs[0] if jobs else None

    async def claim_many(self, limit: int, *, wait: float | timedelta = 0.0) -> list[ClaimedJob]:
        """Claim up to `limit` jobs in one call of the store; at least one, if one comes in time.

        Parameters:
            limit: At most so many, from 1.
            wait: How long to wait for the first, in seconds or as a timedelta.

        Raises:
            InvalidOptionError, BackendError: As `claim`.
        """
        holder, options = self._open(), self._setup.options
        require(is_whole(limit) and limit >= 1, "limit", limit, "an integer from 1")
        until_s = time.monotonic() + seconds(wait, "wait")
        while True:
            room = min(limit, options.concurrency - len(holder.held) - self._asked)
            pause_s, seen = LONGEST_SLEEP_S, 0
            if not holder.ready and room > 0:
                self._asked += room
                try:
                    reply = await holder.ask(room)
                finally:
                    self._asked -= room
                    holder.freed.set()
                seen = reply.seen
                if reply.next_due_ms is not None:
                    pause_s = min(pause_s, max(reply.next_due_ms, 1) / 1000)
            if jobs := holder.take(limit):
                return jobs
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._closed:
                return []
            pause_s = min(left_s, pause_s)
            if room > 0:
                wait_for_work = holder.dispatch.wait(options.queues, seen, timeout_s=pause_s)
                await self._sleep(wait_for_work)
            else:
                holder.freed.clear()
                await self._sleep(_until(holder.freed, pause_s))

    def claim_sync(self, *, wait: float | timedelta = 0.0) -> ClaimedJob | None:
        """`claim` for plain code."""
        job: ClaimedJob | None = self._setup.run_sync(self.claim(wait=wait))
        return job

    def claim_many_sync(self, limit: int, *, wait: float | timedelta = 0.0) -> list[ClaimedJob]:
        """`claim_many` for plain code."""
        jobs: list[ClaimedJob] = self._setup.run_sync(self.claim_many(limit, wait=wait))
        return jobs

    async def close(self) -> None:
        """Give back what is still held, and leave the register. Idempotent."""
        if self._holder is None or self._closed:
            return
        self._closed = True
        for task in list(self._sleeping):
            task.cancel()
        await self._holder.end()

    async def _sleep(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Wait for work, or until the claims are closed."""
        task = asyncio.ensure_future(waiting)
        self._sleeping.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._sleeping.discard(task)
            task.cancel()
            with suppress(asyncio.CancelledError, BackendError):  # the next claim shows what it is
                await task

    def _open(self) -> ClaimHolder:
        if self._closed:
            raise InvalidOptionError("claims: these were closed; make others with app.claims(...)")
        if self._holder is None:
            raise InvalidOptionError(
                "claims: enter them first, with 'async with app.claims(...) as claims:' or, in"
                " plain code, 'with app.claims(...) as claims:'"
            )
        return self._holder


async def _until(event: asyncio.Event, timeout_s: float) -> None:
    # Not `wait_for`: before Python 3.12 it loses a cancellation that comes with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
