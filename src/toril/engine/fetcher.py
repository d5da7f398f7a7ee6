"""The exchange with the store: outcomes there, claimed jobs back, as many as there are free slots.

While one exchange is in flight, outcomes pile up (`outbox.py`) and go with the next: batches form
by themselves. Where the store takes several exchanges at once and there is much to do, a second one
is in flight, so that store and worker work at the same time, each on one half of the slots. A
worker that finds nothing to claim waits as `idling.py` says.

The fetch loop never ends in silence. When the store does not answer, it tries again with growing
pauses, and `outage.py` tells the watchdog for how long.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence

from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreCorruptError,
    StoreForeignError,
)
from toril.engine.contract.dispatch import (
    BlockingClaim,
    Dispatch,
    Exchange,
    ExchangeReply,
    FenceResult,
)
from toril.engine.fetch_plan import FetchPlan
from toril.engine.idling import MAX_BLOCKING, Idling
from toril.engine.in_flight import InFlight, SentExchange
from toril.engine.job import Claimed, Finished
from toril.engine.outage import Outage
from toril.engine.outbox import WORTH_AN_EXCHANGE, Batch, Outbox
from toril.engine.storing import exchange_surely

APART_S = 0.001
"""Between two exchanges. The store answers together what it reads together, and until it answers
the worker has nothing to do."""


class Fetcher:
    """The fetch loop of one worker."""

    def __init__(
        self,
        dispatch: Dispatch,
        outbox: Outbox,
        *,
        worker_id: str,
        plan: FetchPlan,
        capacity: int,
        start: Callable[[Claimed], None],
        delivered: Callable[[Batch, Sequence[FenceResult]], None],
        before: Callable[[], None],
        idle: Callable[[], None],
    ) -> None:
        """Make a fetcher.

        Parameters:
            dispatch: The store's.
            outbox: Where outcomes come from.
            worker_id: Whose jobs these are.
            plan: Which queues are asked, in what order and for how many jobs.
            capacity: Slots of the worker.
            start: Takes each claimed job, before anything else is done with a reply.
            delivered: Takes the outcomes of an exchange, with what the store said to each.
            before: Called before each exchange, to send what must arrive sooner.
            idle: Called when no slot is in use and there is nothing to claim.
        """
        self._dispatch = dispatch
        self._outbox = outbox
        self._worker_id = worker_id
        self._plan = plan
        self._start = start
        self._delivered = delivered
        self._before = before
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        # Attempts add their outcomes from their own contexts, which end here.
        self._context = contextvars.copy_context()
        self._idling = Idling(dispatch, queues=plan.queues, lease_ms=plan.lease_ms, poll=self.poll)
        self.outage = Outage(self._step)
        self.busy = 0
        """Slots in use, including those whose outcome has not reached the store."""
        self._capacity = capacity
        self._free = capacity
        """Slots that are neither in use nor reserved for what an exchange in flight claims. Below
        0 after `resize`: so many more jobs run than there are slots by now."""
        self.in_flight = InFlight()
        self._polls = True
        """There may be something to claim."""
        self.has_claimed = False
        """Whether anything was claimed since `idle` last said that there was nothing."""
        self._quiet = self._ended = False
        self._fatal: BaseException | None = None
        self._end: asyncio.Future[None] | None = None
        """What `run` waits for."""
        self._will_step = False
        self._latest: ExchangeReply | None = None
        self._sent_s = 0.0
        self._second: asyncio.TimerHandle | None = None
        self.unanswered = False
        """Whether an exchange was abandoned that may have claimed jobs."""
        outbox.added = self._step_soon

    @property
    def awaits_reply(self) -> bool:
        """Whether an answer of the store is on its way, which may bring jobs."""
        return not self.in_flight.is_empty

    def quiet(self) -> None:
        """Claim nothing more, unless `resume` follows."""
        self._quiet = True
        if self.in_flight.may_claim:
            self._outbox.hold_back()
        self._idling.end_claim()
        self._step_soon()

    def resume(self) -> None:
        """Claim again."""
        if not self._ended:
            self._quiet = False
            self._outbox.let_go()
            self.poll()

    def resize(self, capacity: int) -> None:
        """Have so many slots from now on. What runs goes on, and what a claim in flight brings."""
        self._free += capacity - self._capacity
        self._capacity = capacity
        if self._free < 0 and self.in_flight.blocking is not None:
            self._idling.end_claim()
        self.poll()

    def poll(self) -> None:
        """Ask the store now instead of waiting for it to wake us: it may be in trouble."""
        self._polls = True
        self._step_soon()

    def give_up(self, error: BackendError) -> None:
        """Make `run` raise."""
        self._fatal = error
        self._step_soon()

    def end(self) -> None:
        """Return from `run` once everything has been handed over."""
        self._quiet = self._ended = True
        self._step_soon()

    async def run(self) -> None:
        """Exchange until `end()` was called and no slot is in use any more.

        Raises:
            BackendError: The store can never answer again: it was closed, its file is damaged or
                not ours.
        """
        self._end = self._loop.create_future()
        self._step_soon()
        try:
            await self._end
        finally:
            self.outage.close()
            self._outbox.let_go()
            if self._second is not None:
                self._second.cancel()
                self._second = None
            await self._idling.close()

    def _step_soon(self) -> None:
        """Take the next step after this turn of the loop: what happens in it is taken together."""
        if not self._will_step:
            self._will_step = True
            self._loop.call_soon(self._step, context=self._context)

    def _step(self) -> None:
        self._will_step = False
        if self._end is None or self._end.done():
            return
        if self._fatal is not None and not self.in_flight.exchanges:
            self._end.set_exception(self._fatal)
        elif self._ended and self.busy == 0 and self._outbox.is_empty and not self.awaits_reply:
            self._end.set_result(None)
        else:
            try:
                if not self._send_all():
                    self._wait_for_work()
            except Exception as error:  # a fault of ours must end the worker, not halt it
                self._end.set_exception(error)

    def _send_all(self) -> bool:
        """Send what there is to say and to ask for; return whether that was anything."""
        sent = False
        while self._may_send():
            split = not self.in_flight.exchanges and self._dispatch.exchanges_at_once > 1
            batch = self._outbox.take(split=split)
            free, many = self._free, len(batch.outcomes)
            claims = [] if self._quiet else self._plan.claims(free + many, batch.outcomes)
            exchange = SentExchange(batch, claims, free if claims else 0)
            self._before()
            self.in_flight.exchanges.add(exchange)
            self._sent_s = time.monotonic()
            self._polls = False
            self._begin(exchange, self._dispatch)
            sent = True
        return sent

    def _may_send(self) -> bool:
        if self.outage.pause is not None or self._fatal is not None:
            return False
        outbox = self._outbox
        in_flight = self.in_flight.exchanges
        if not in_flight:
            return bool(outbox.waiting) or (self._polls and not self._quiet and self._free > 0)
        # The exchange that ends a doubt must be alone.
        if (
            len(in_flight) >= self._dispatch.exchanges_at_once
            or len(outbox.waiting) < WORTH_AN_EXCHANGE
            or outbox.in_doubt
        ):
            return False
        if self._second is None and time.monotonic() < self._sent_s + APART_S:
            self._second = self._loop.call_later(APART_S, self._send_second)
        return self._second is None

    def _send_second(self) -> None:
        self._second = None
        self._step()

    def _send_blocking(self, claimer: BlockingClaim) -> None:
        """Make a blocking claim for some of the free slots."""
        reserved = min(self._free, MAX_BLOCKING)
        sent = SentExchange(self._outbox.nothing(), self._plan.claims(reserved), reserved)
        self.in_flight.blocking = sent
        self._begin(sent, claimer)

    def _begin(self, sent: SentExchange, by: Dispatch | BlockingClaim) -> None:
        self._free -= sent.reserved
        outcomes = sent.batch.outcomes
        room = sent.reserved + len(outcomes)
        exchange = Exchange(self._worker_id, outcomes, sent.claims, room)
        # A task of its own: what the store has claimed for us must reach a slot, or be given back,
        # whatever becomes of this loop.
        sent.task = self._loop.create_task(self._exchange(sent, exchange, by))

    async def _exchange(
        self, sent: SentExchange, exchange: Exchange, by: Dispatch | BlockingClaim
    ) -> None:
        """Make an exchange, and handle its reply or failure in the same step of the event loop.

        If a failure were handled later, another exchange might begin meanwhile. It would resolve
        this one before the outcomes of this one are back in the outbox.
        """
        batch = sent.batch
        if self._outbox.in_doubt and not batch.resolves:
            # Another exchange has failed between the decision to send this one and now.
            self._outbox.put_back(batch)
            self._polls = True
            self._arrived(sent)
            return
        try:
            reply = await exchange_surely(by, exchange, batch.outcomes)
            if sent is self.in_flight.blocking and len(reply.claimed) == sent.reserved:
                self._polls = True  # for more than it could take
            self._arrived(sent)
            self._take(sent, reply)
        except (BackendClosedError, StoreCorruptError, StoreForeignError) as error:
            self._fatal = error
            self._arrived(sent)
        except BackendError as error:
            self._failed(sent)
            self.outage.failed(error)
        except asyncio.CancelledError:  # with all tasks of a program that ends
            self._failed(sent)
            self.unanswered = True
        except BaseException as error:
            self._fatal = error
            self._arrived(sent)

    def _failed(self, sent: SentExchange) -> None:
        self._outbox.failed(sent.batch)
        self._polls = True
        self._arrived(sent)

    def _arrived(self, sent: SentExchange) -> None:
        """Note that an exchange is not in flight any more, whatever came of it."""
        if self.in_flight.remove(sent):
            self._free += sent.reserved
            if self._plan.counts:
                self._plan.came(sent.claims, (), ())
        if self._quiet and not self.in_flight.may_claim:
            self._outbox.let_go()
        self._step_soon()

    def _take(self, sent: SentExchange, reply: ExchangeReply) -> None:
        batch = sent.batch
        if self.outage.error is not None:
            self.outage.over()
        if batch.resolves:
            self._outbox.succeeded(batch)
        if self._plan.counts:
            self._plan.came((), reply.claimed, batch.outcomes)
        more = len(reply.claimed) - len(batch.outcomes)
        self.busy += more
        self._free -= more
        if reply.claimed:
            self.has_claimed = True
        for claimed in reply.claimed:
            if sent.give_back:
                # The store puts the job back in line if it is still ours. If not, it does nothing.
                self._outbox.add(Finished.given_back(claimed, self._worker_id))
            else:
                self._start(claimed)
        if batch.outcomes:
            self._delivered(batch, reply.words)
        self._latest = reply

    def _wait_for_work(self) -> None:
        """Wait for an outcome, a reply, something to claim, or the time when a job is due."""
        if self._quiet or self._free <= 0:
            # A sleeper takes the wake-ups of other workers: never without room for a job.
            self._idling.stop_sleeping()
            if self._quiet or self._polls:
                self._idling.end_claim()
        elif not self.in_flight.exchanges and self.outage.pause is None and self._latest:
            if self.busy == 0 and not self._outbox.waiting:
                self._idle()
            if not self._will_step:
                # A blocking claim would leave out a queue that has room again before it returns.
                blocks = self.in_flight.blocking is not None or not self._plan.is_full
                claimer = self._idling.wait(self._latest, blocks=blocks)
                if claimer is not None and self.in_flight.blocking is None:
                    self._send_blocking(claimer)
