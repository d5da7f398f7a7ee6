"""The exchange with the store: outcomes there, claimed jobs back, as many as there are free slots.

While one exchange is under way outcomes pile up and go with the next: batches form by themselves.
Where the store takes several at once and there is much to do, a second one is under way meanwhile,
so that store and worker work at the same time: one on one half of the slots, one on the other.

An idle worker leaves a claim standing, where the store has such: for a few of its free slots, which
count as taken meanwhile. Else it sleeps until it is woken, and asks.

Never dead in silence: a store that does not answer is tried again with growing, jittered waits, and
`trouble_since_s` tells the watchdog how long that has been so.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreCorruptError,
    StoreForeignError,
)
from toril.core.loggers import logger
from toril.engine.contract.dispatch import Claim, Dispatch, Exchange, ExchangeReply, Standing
from toril.engine.fetch_plan import FetchPlan
from toril.engine.job import Claimed, Finished
from toril.engine.storing import exchange_surely

log = logger("toril.worker")

IDLE_S = 30.0
"""Longest sleep without looking: a safeguard, since every change wakes the sleeper."""
MOST_TOGETHER = 250
"""Outcomes in one exchange: about 7 ms of the store's time."""
ENOUGH = 16
"""Outcomes for which one more exchange is worth its own cost while another one is under way."""
APART_S = 0.001
"""Between two exchanges: what a store reads together it also answers together, and until then the
worker has nothing to do."""
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 2.0
MOST_STANDING = 4
"""Jobs of a standing claim: should this machine die in silence, so many may be claimed for it
afterwards. When it has got all of them, the worker asks for what its other slots can take."""


@dataclass(slots=True, eq=False)
class _Sent:
    """An exchange under way, or a claim that stands."""

    outcomes: list[Finished]
    reserved: int
    """Free slots that it may fill, beside those of its outcomes."""
    failures: int
    """How many had failed before it."""
    doubtful: bool = False
    """The process stood still meanwhile, so jobs that this claims may be lost again."""
    first_again: bool = False
    """Nothing was under way beside it but a standing claim, and one before it had failed."""
    task: asyncio.Task[None] | None = None


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
            start: Takes each claimed job, before anything else is done with a reply.
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
        self._at_once = dispatch.exchanges_at_once
        self._loop = asyncio.get_running_loop()
        # Attempts bring their outcomes from their own contexts, which end here.
        self._surroundings = contextvars.copy_context()
        self._outbox: list[Finished] = []
        self._unsure = 0
        """Of these, how many may have reached the store with an exchange that failed."""
        self._busy = 0
        self._under_way: set[_Sent] = set()
        self._standing: Standing | None = None
        self._stands: _Sent | None = None
        """The claim that stands."""
        self._due: asyncio.TimerHandle | None = None
        self._timed: ExchangeReply | None = None
        """Whose word on what becomes due next is heeded."""
        self._reserved = 0
        self._asks = True
        """There may be something to claim."""
        self._failed = False
        """The last exchanges failed: what they did is unknown until one on its own went well."""
        self._failures = 0
        self._quiet = False
        self._ended = False
        self._fatal: BaseException | None = None
        self._end: asyncio.Future[None] | None = None
        """What `run` waits for."""
        self._to_step = False
        self._latest: ExchangeReply | None = None
        self._sleeper: asyncio.Task[None] | None = None
        self._sent_s = 0.0
        self._second: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._retry_s = FIRST_RETRY_S
        self.unanswered = False
        """Whether an exchange was abandoned that may have claimed jobs."""
        self.trouble: BackendError | None = None
        """Why the store does not answer. None: it does."""
        self.trouble_since_s = 0.0
        """Since when, on `time.monotonic`."""

    @property
    def busy(self) -> int:
        """Slots in use, those included whose outcome has not reached the store."""
        return self._busy

    @property
    def expects(self) -> bool:
        """Whether an answer of the store is on its way, which may bring jobs."""
        return bool(self._under_way) or self._stands is not None

    def finished(self, outcome: Finished) -> None:
        """Take an outcome along on the next exchange."""
        self._outbox.append(outcome)
        self._step_soon()

    def quiet(self) -> None:
        """Claim nothing more."""
        self._quiet = True
        if self._standing is not None:
            # Now and not in the next step: it would take the jobs that are given back in that one.
            self._standing.release()
        self._step_soon()

    def look(self) -> None:
        """Ask the store now, in place of waiting for it to wake us: it may be in trouble."""
        self._asks = True
        self._step_soon()

    def doubt(self) -> None:
        """Give back all jobs that in-flight exchanges claim: the process stood still meanwhile."""
        for sent in self._under_way:
            sent.doubtful = True
        if self._stands is not None:
            self._stands.doubtful = True

    def give_up(self, error: BackendError) -> None:
        """Make `run` raise."""
        self._fatal = error
        self._step_soon()

    def end(self) -> None:
        """Return from `run` once everything has been handed over."""
        self._quiet = self._ended = True
        self._step_soon()

    async def run(self) -> None:
        """Exchange until `end()` was called and nothing is held any more.

        Raises:
            BackendError: The store can never answer again: it was closed, its file is damaged or
                not ours.
        """
        self._end = self._loop.create_future()
        self._step_soon()
        try:
            await self._end
        finally:
            for timer in (self._pause, self._second, self._due):
                if timer is not None:
                    timer.cancel()
            self._stop_sleeping()
            if self._standing is not None:
                await self._standing.close()

    def _step_soon(self) -> None:
        """Take the next step after this turn of the loop: what happens in it is taken together."""
        if not self._to_step:
            self._to_step = True
            self._loop.call_soon(self._step, context=self._surroundings)

    def _step(self) -> None:
        self._to_step = False
        if self._end is None or self._end.done():
            return
        if self._fatal is not None and not self._under_way:
            self._end.set_exception(self._fatal)
        elif self._ended and self._busy == 0 and not self._outbox and not self.expects:
            self._end.set_result(None)
        else:
            try:
                if not self._send_all():
                    self._rest()
            except Exception as error:  # a fault of ours must end the worker, not halt it
                self._end.set_exception(error)

    def _send_all(self) -> bool:
        """Send what there is to say and to ask for; return whether that was anything."""
        sent = False
        while self._may_send():
            outcomes = self._take_outcomes()
            free = self._free
            claims = [] if self._quiet else self._plan.claims(free + len(outcomes))
            self._send(outcomes, claims, free if claims else 0)
            sent = True
        return sent

    @property
    def _free(self) -> int:
        """Slots that nothing uses and no exchange under way may fill."""
        return self._capacity - self._busy - self._reserved

    def _may_send(self) -> bool:
        if self._pause is not None or self._fatal is not None:
            return False
        if not self._under_way:
            return bool(self._outbox) or (self._asks and not self._quiet and self._free > 0)
        # What is claimed again after a failure, and what is not, must be asked in one exchange.
        if len(self._under_way) >= self._at_once or len(self._outbox) < ENOUGH or self._failed:
            return False
        if self._second is None and time.monotonic() < self._sent_s + APART_S:
            self._second = self._loop.call_later(APART_S, self._send_second)
        return self._second is None

    def _send_second(self) -> None:
        self._second = None
        self._step()

    def _take_outcomes(self) -> list[Finished]:
        many = len(self._outbox)
        if self._failed:
            # All of which it is unknown whether the store has them: it is told only once.
            many = max(MOST_TOGETHER, self._unsure)
        elif not self._under_way and self._at_once > 1 and many >= 2 * ENOUGH:
            many = -(-many // 2)  # the other half goes with the next one
        outcomes = self._outbox[: many if self._failed else min(many, MOST_TOGETHER)]
        del self._outbox[: len(outcomes)]
        self._unsure = max(0, self._unsure - len(outcomes))
        return outcomes

    def _send(self, outcomes: list[Finished], claims: Sequence[Claim], reserved: int) -> None:
        self._before()
        sent = _Sent(outcomes, reserved, self._failures, first_again=self._failed)
        self._under_way.add(sent)
        self._sent_s = time.monotonic()
        self._reserved += reserved
        self._asks = False
        exchange = Exchange(self._worker_id, outcomes, claims, reserved + len(outcomes))
        # A task of its own: what the store has claimed for us must reach a slot, or be given back,
        # whatever becomes of this loop.
        sent.task = self._loop.create_task(self._exchange(sent, exchange, self._dispatch))

    async def _exchange(self, sent: _Sent, exchange: Exchange, by: Dispatch | Standing) -> None:
        """Make an exchange, and take what comes of it in the same step of the event loop.

        A failure that was noticed later would let another exchange begin meanwhile, which would
        settle what became of this one before its outcomes are back in the outbox.
        """
        if self._failed and not sent.first_again:  # one beside it has, before this one began
            self._arrived(sent)
            self._outbox[:0] = sent.outcomes
            self._asks = True
            return
        try:
            reply = await exchange_surely(by, exchange, sent.outcomes)
            if sent is self._stands and len(reply.claimed) == sent.reserved:
                self._asks = True  # for more than it could take
            self._arrived(sent)
            self._take(sent, reply)
        except (BackendClosedError, StoreCorruptError, StoreForeignError) as error:
            self._arrived(sent)
            self._fatal = error
        except BackendError as error:
            self._take_back(sent)
            self._wait_out(error)
        except asyncio.CancelledError:  # with all tasks of a program that ends
            self._take_back(sent)
            self.unanswered = True
        except BaseException as error:
            self._arrived(sent)
            self._fatal = error

    def _take_back(self, sent: _Sent) -> None:
        """Put the outcomes of an exchange back whose own outcome is unknown."""
        self._arrived(sent)
        self._outbox[:0] = sent.outcomes
        self._unsure += len(sent.outcomes)
        self._failed = self._asks = True
        self._failures += 1

    def _arrived(self, sent: _Sent) -> None:
        if sent is self._stands:
            self._stands = None
            self._reserved -= sent.reserved
        elif sent in self._under_way:
            self._under_way.remove(sent)
            self._reserved -= sent.reserved
        self._step_soon()

    def _take(self, sent: _Sent, reply: ExchangeReply) -> None:
        if self.trouble is not None:
            log.warning("the store answers again")
        self.trouble = None
        self._retry_s = FIRST_RETRY_S
        if sent.first_again and sent.failures == self._failures:
            self._failed = False
        self._busy += len(reply.claimed) - len(sent.outcomes)
        for claimed in reply.claimed:
            if sent.doubtful:
                # Back in line if it is ours; if it is not, that changes nothing.
                self._outbox.append(Finished.given_back(claimed, self._worker_id))
            else:
                self._start(claimed)
        for outcome, word in zip(sent.outcomes, reply.words, strict=True):
            if word == "lease_lost":
                self._lost(outcome)
            else:
                self._applied(outcome)
        self._latest = reply

    def _wait_out(self, error: BackendError) -> None:
        if self.trouble is None:
            log.error("the store does not answer: %s", error)
            self.trouble_since_s = time.monotonic()
        self.trouble = error
        if self._pause is None:
            pause_s = self._retry_s * (0.5 + random.random())  # noqa: S311 - spread only
            self._pause = self._loop.call_later(pause_s, self._try_again)
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    def _try_again(self) -> None:
        self._pause = None
        self._step()

    def _rest(self) -> None:
        """Wait for an outcome, a reply, for something to claim, or for its time to come."""
        if self._quiet or self._free <= 0:
            # Whoever sleeps takes the wake-ups of others: not while there is no room for a job.
            self._stop_sleeping()
            if self._standing is not None and (self._quiet or self._asks):
                self._standing.release()
        elif not self._under_way and self._pause is None and self._latest is not None:
            if self._busy == 0 and not self._outbox:
                self._idle()
            if not self._to_step:
                self._sleep(self._latest)

    def _sleep(self, reply: ExchangeReply) -> None:
        """Have the store give us jobs, or wake us."""
        if self._standing is None:
            self._standing = self._dispatch.standing(lease_ms=self._plan.lease_ms)
        if self._standing is not None:
            if reply is not self._timed:
                self._timed = reply
                self._look_when_due(reply.next_due_ms)
            if self._stands is None:
                self._stand(self._standing)
            return
        timeout_s = IDLE_S
        if reply.next_due_ms is not None:
            timeout_s = min(timeout_s, max(reply.next_due_ms, 1) / 1000)
        if self._sleeper is None or self._sleeper.done() or reply.next_due_ms is not None:
            self._stop_sleeping()
            self._sleeper = self._loop.create_task(
                self._wait(reply.seen, timeout_s), name="toril-sleeper"
            )

    def _stand(self, standing: Standing) -> None:
        """Leave a claim standing for some of the free slots."""
        reserved = min(self._free, MOST_STANDING)
        sent = self._stands = _Sent([], reserved, self._failures)
        self._reserved += reserved
        exchange = Exchange(self._worker_id, [], self._plan.claims(reserved), reserved)
        sent.task = self._loop.create_task(self._exchange(sent, exchange, standing))

    def _look_when_due(self, due_ms: int | None) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if due_ms is not None:
            self._due = self._loop.call_later(max(due_ms, 1) / 1000, self.look)

    async def _wait(self, seen: int, timeout_s: float) -> None:
        try:
            await self._dispatch.wait(self._plan.queues, seen, timeout_s=timeout_s)
        except Exception as error:  # the store tells what it is when it is asked
            log.debug("asking in place of waiting: %s", error)
        self.look()

    def _stop_sleeping(self) -> None:
        if self._sleeper is not None:
            self._sleeper.cancel()
            self._sleeper = None
