"""Exchanges with the store for jobs that are claimed by hand: one at a time, in order.

An outcome waits in an `Outbox` and goes with the next exchange, whoever asks for it. If an exchange
fails, its outcomes are sent again until the store answers, so that each is applied once. The
worker's way of the same is `fetcher.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreCorruptError,
    StoreForeignError,
)
from toril.core.loggers import logger
from toril.engine.contract.dispatch import Dispatch, Exchange, ExchangeReply, FenceResult
from toril.engine.fetch_plan import FetchPlan
from toril.engine.job import Claimed, OutcomeKind
from toril.engine.outbox import Batch, Outbox
from toril.engine.storing import exchange_surely

log = logger("toril.worker")

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 2.0
"""Between two tries to bring outcomes to a store that does not answer, in seconds."""
FINAL = (BackendClosedError, StoreCorruptError, StoreForeignError)
"""Errors after which the store can never answer again."""

_Key = tuple[str, int | str]


class Settled(NamedTuple):
    """What became of an outcome."""

    word: FenceResult
    """What the store said."""
    kind: OutcomeKind
    """Which outcome it was in the end."""


class ClaimExchange:
    """The exchanges of one holder of jobs."""

    def __init__(
        self,
        dispatch: Dispatch,
        outbox: Outbox,
        *,
        worker_id: str,
        plan: FetchPlan,
        patience_s: float,
        start: Callable[[Claimed], None],
        delivered: Callable[[Batch, Sequence[FenceResult]], None],
        before: Callable[[], None],
    ) -> None:
        """Make it. It sends nothing until it is asked, or an outcome waits.

        Parameters:
            dispatch: The store's.
            outbox: Where outcomes come from.
            worker_id: Who holds the jobs.
            plan: Which queues are asked, and in what order.
            patience_s: How long an outcome is tried before whoever waits for it is told the error.
            start: Takes each claimed job.
            delivered: Takes the outcomes of an exchange, with what the store said to each.
            before: Called before each exchange, to send what must arrive sooner.
        """
        self._dispatch = dispatch
        self._outbox = outbox
        self._worker_id = worker_id
        self._plan = plan
        self._patience_s = patience_s
        self._start = start
        self._delivered = delivered
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._asking: set[asyncio.Task[ExchangeReply]] = set()
        self._flushing: asyncio.Task[None] | None = None
        self._awaited: dict[_Key, asyncio.Future[Settled]] = {}
        self._ended = False
        self._unsettled: set[_Key] = set()
        self._in_doubt = False
        """Whether the store may have claimed jobs of which it has not told."""
        outbox.added = self._flush_soon

    @property
    def may_hold_jobs(self) -> bool:
        """Whether the store may take jobs for ours that we hold no longer, or know nothing of."""
        return bool(self._unsettled) or self._in_doubt

    async def ask(self, room: int) -> ExchangeReply:
        """Claim up to `room` jobs, and send what waits. Each job has gone to `start` by then.

        If the caller is cancelled, the exchange goes on.

        Raises:
            BackendError: The store did not answer, or cannot.
        """
        asking = self._loop.create_task(self._exchange(room))
        self._asking.add(asking)
        asking.add_done_callback(self._asked)
        return await asyncio.shield(asking)

    def settled(self, key: _Key) -> asyncio.Future[Settled]:
        """Return what the store will say to the outcome of a claim, by token and number.

        Call it for each before it goes to the outbox.
        """
        self._unsettled.add(key)
        future = self._awaited[key] = self._loop.create_future()
        return future

    async def finish(self, timeout_s: float) -> None:
        """Wait for what is under way, and for outcomes that wait."""
        until_s = time.monotonic() + timeout_s
        while True:
            going: set[asyncio.Task[object]] = {*self._asking}
            if self._flushing is not None:
                going.add(self._flushing)
            left_s = until_s - time.monotonic()
            if not going or left_s <= 0:
                break
            await asyncio.wait(going, timeout=left_s)
        self._ended = True
        for task in (*self._asking, self._flushing):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, BackendError):
                    await task
        self._refuse(BackendClosedError("the claims were closed before the store took the outcome"))

    async def _exchange(self, room: int) -> ExchangeReply:
        async with self._lock:
            self._before()
            await asyncio.sleep(0)  # what that sends is on its way by then, ahead of the outcomes
            batch = self._outbox.take(split=False)
            outcomes = batch.outcomes
            claims = self._plan.claims(room)
            try:
                exchange = Exchange(self._worker_id, outcomes, claims, room)
                reply = await exchange_surely(self._dispatch, exchange, outcomes)
            except BaseException:
                # Its outcomes come again, with whatever exchange is next: the store tells by then
                # which of them it has applied.
                self._outbox.failed(batch)
                self._in_doubt = True
                if outcomes:
                    self._flush_soon()
                raise
            if batch.resolves:
                self._outbox.succeeded(batch)
            self._in_doubt = False
            for claimed in reply.claimed:
                self._start(claimed)
            for outcome, word in zip(outcomes, reply.words, strict=True):
                key = outcome.token, outcome.number
                self._unsettled.discard(key)
                future = self._awaited.pop(key, None)
                if future is not None and not future.done():
                    future.set_result(Settled(word, outcome.kind))
            if outcomes:
                self._delivered(batch, reply.words)
            return reply

    def _asked(self, asking: asyncio.Task[ExchangeReply]) -> None:
        self._asking.discard(asking)
        if not asking.cancelled():
            asking.exception()  # whoever asked may have been cancelled, and hears of it no more

    def _flush_soon(self) -> None:
        if not self._ended and (self._flushing is None or self._flushing.done()):
            self._flushing = self._loop.create_task(self._flush())
            self._flushing.add_done_callback(self._flushed)

    def _flushed(self, flushing: asyncio.Task[None]) -> None:
        if self._flushing is flushing:
            self._flushing = None

    async def _flush(self) -> None:
        """Send outcomes until none waits, with growing pauses while the store does not answer."""
        pause_s, since_s = FIRST_PAUSE_S, time.monotonic()
        while self._outbox.waiting:
            try:
                await self._exchange(0)
            except FINAL as error:
                self._refuse(error)
                return
            except BackendError as error:
                if time.monotonic() - since_s >= self._patience_s:
                    self._refuse(error)
                log.warning("outcomes wait for the store, trying again: %s", error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
            except Exception as error:  # a fault of ours: whoever waits must hear of it
                log.exception("outcomes could not be sent")
                self._refuse(error)
                return
            else:
                pause_s, since_s = FIRST_PAUSE_S, time.monotonic()

    def _refuse(self, error: Exception) -> None:
        awaited, self._awaited = self._awaited, {}
        for future in awaited.values():
            if not future.done():
                future.set_exception(error)
                future.exception()  # nobody may wait for it any more
