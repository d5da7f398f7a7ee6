"""Jobs for code that brings its own loop: claim, then complete or fail, one by one.

All else is a worker's: leases, outcomes with retries, dead letters and flows, hooks, the register,
and a sweep for jobs of dead workers. What a worker does and this does not: it calls no task, so
there is no middleware around attempts, and no time limit.

Read next: `claimed_job.py` (what one does with a job), `claim_exchange.py` (how it is stored).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from toril.core.checks import is_whole, require
from toril.core.durations import seconds
from toril.core.errors import BackendError, InvalidOptionError, SealedFieldError
from toril.core.ids import new_worker_id
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.attempt_context import give_context
from toril.engine.attempt_messages import AttemptMessages
from toril.engine.claim_exchange import ClaimExchange, Settled
from toril.engine.claimed_job import ClaimedJob
from toril.engine.contract import Backend
from toril.engine.contract.workers import ANY_NAME
from toril.engine.drafts import EnqueueMiddleware
from toril.engine.endings import Endings
from toril.engine.fetch_plan import FetchPlan
from toril.engine.flow_asking import FlowAsking
from toril.engine.follow_ups import FollowUpMaker
from toril.engine.handler import Handler, Handlers
from toril.engine.hooks import Hooks
from toril.engine.intake import Intake
from toril.engine.job import Claimed, Finished
from toril.engine.job_log import JobLog
from toril.engine.lease_losses import LeaseLosses
from toril.engine.leases import LeaseKeeper
from toril.engine.letter_hooks import LetterHooks
from toril.engine.letter_writer import LetterWriter
from toril.engine.message_sender import MessageSender
from toril.engine.outbox import Outbox
from toril.engine.outcome_hooks import OutcomeHooks
from toril.engine.outcomes import Fail
from toril.engine.registration import Registration
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.stopping import FAREWELL_S, Stopping
from toril.engine.sweeper import Sweeper
from toril.engine.wishes import word_of
from toril.engine.worker_options import WorkerOptions

log = logger("toril.worker")

T = TypeVar("T")

LONGEST_SLEEP_S = 30.0
"""Longest wait for work between two claims, in seconds: a safeguard, as every change wakes it."""


class Claims:
    """Claims jobs of some queues, for code that brings its own loop. Made by `app.claims`.

    Use it as a context manager, `async with` or `with`; once each.
    """

    def __init__(
        self,
        backend: Callable[[], Backend],
        handlers: Handlers,
        options: WorkerOptions,
        *,
        otherwise: Handler,
        renews: bool,
        run_sync: Callable[[Coroutine[Any, Any, Any]], Any],
        hooks: Hooks,
        enqueue_middleware: Sequence[EnqueueMiddleware] = (),
        timezone: str = "UTC",
    ) -> None:
        """Make claims; the store is asked when they are entered.

        Parameters:
            backend: Gives the store.
            handlers: The tasks, of which the policies are taken.
            options: As of a worker that had so many slots.
            otherwise: Stands in for the task of jobs that have none here.
            renews: Whether a thread renews the leases.
            run_sync: Runs a coroutine for plain code.
            hooks: Who is told.
            enqueue_middleware: What sees each follow-up job first.
            timezone: Of schedules that name none.
        """
        self.id = new_worker_id()
        self.options = options
        self._backend = backend
        self._handlers = handlers
        self._otherwise = otherwise
        self._renews = renews
        self._run_sync = run_sync
        self._hooks = hooks
        self._enqueue_middleware = enqueue_middleware
        self._timezone = timezone
        self.endings = Endings(self.id, lambda: False)
        self._held: dict[tuple[str, int | str], Attempt] = {}
        self._losses = LeaseLosses(self._held)
        self._ready: deque[ClaimedJob] = deque()
        """Claimed, and not yet handed out."""
        self._parts: _Parts | None = None
        self._closed = False
        self._sleeping: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        require(self._parts is None, "claims", self.id, "ones that were not entered; make others")
        self._parts = _Parts(self, self._backend())
        await self._parts.begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> Self:
        self._run_sync(self.__aenter__())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run_sync(self.close())

    @property
    def held(self) -> int:
        """How many jobs are held."""
        return len(self._held)

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
        require(is_whole(limit) and limit >= 1, "limit", limit, "an integer from 1")
        until_s = time.monotonic() + seconds(wait, "wait")
        parts = self._require_open()
        while True:
            room = min(limit, self.options.concurrency - len(self._held))
            pause_s = LONGEST_SLEEP_S
            seen = 0
            if not self._ready and room > 0:
                reply = await parts.exchange.ask(room)
                await parts.intake.settle()
                seen = reply.seen
                if reply.next_due_ms is not None:
                    pause_s = min(pause_s, max(reply.next_due_ms, 1) / 1000)
            if jobs := self._take(limit):
                return jobs
            left_s = until_s - time.monotonic()
            if left_s <= 0 or self._closed:
                return []
            if room > 0:
                queues = self.options.queues
                await self._sleep(parts.dispatch.wait(queues, seen, timeout_s=min(left_s, pause_s)))
            else:
                parts.freed.clear()
                await self._sleep(_until(parts.freed, left_s))

    def claim_sync(self, *, wait: float | timedelta = 0.0) -> ClaimedJob | None:
        """`claim` for plain code."""
        return self.run_sync(self.claim(wait=wait))

    def claim_many_sync(self, limit: int, *, wait: float | timedelta = 0.0) -> list[ClaimedJob]:
        """`claim_many` for plain code."""
        return self.run_sync(self.claim_many(limit, wait=wait))

    async def close(self) -> None:
        """Give back what is still held, and leave the register. Idempotent."""
        if self._parts is None or self._closed:
            return
        self._closed = True
        for task in list(self._sleeping):
            task.cancel()
        await self._parts.end()

    async def settle(self, attempt: Attempt, outcome: Finished) -> Settled:
        """Store the outcome of an attempt. Called by `ClaimedJob`."""
        return await asyncio.shield(self._send(attempt, outcome))

    async def renew(self, attempt: Attempt) -> None:
        """Renew the lease of an attempt. Called by `ClaimedJob`."""
        dispatch = self._require_parts().dispatch
        renewal = await asyncio.to_thread(dispatch.renew, self.id, [attempt.hold])
        self._losses.renewed(renewal)

    def run_sync(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call for plain code, and wait for it."""
        answer: T = self._run_sync(call)
        return answer

    def can_run(self, claimed: Claimed) -> bool:
        """Whether code will deal with a job: it is the caller's, whatever tasks there are."""
        return True

    def start(self, claimed: Claimed, lease_ms: int) -> None:
        """Take a claimed job. Called by `Intake`."""
        parts = self._require_parts()
        attempt = Attempt(claimed, lease_ms)
        handler = self._handlers.find(claimed.queue, claimed.name) or self._otherwise
        attempt.handler = handler
        emit = partial(parts.messages.receive, attempt)
        # Nobody ends it in time: it is not ours to run.
        self._held[claimed.token, claimed.number] = attempt
        try:
            context = give_context(attempt, handler, emit, worker_id=self.id, timeout_s=None)
        except SealedFieldError as error:
            self._send(attempt, self.endings.raised(attempt, error))
            return
        if claimed.deferred_failure is not None:
            self._send(attempt, self.endings.raised(attempt, Fail(claimed.deferred_failure)))
            return
        if "active" in self._hooks.wanted:
            self._hooks.tell("active", **attempt.names())
        self._ready.append(ClaimedJob(self, attempt, context))

    def _take(self, limit: int) -> list[ClaimedJob]:
        """Return up to `limit` jobs that are claimed and handed out to nobody yet."""
        jobs: list[ClaimedJob] = []
        while self._ready and len(jobs) < limit:
            job = self._ready.popleft()
            if job.lost:  # nobody had come for it in time
                self._send(job._attempt, self.endings.stopped(job._attempt))
            else:
                jobs.append(job)
        return jobs

    def _send(self, attempt: Attempt, outcome: Finished) -> asyncio.Future[Settled]:
        """Send the outcome of an attempt, which is held no longer."""
        parts = self._require_parts()
        settled = parts.exchange.settled((outcome.token, outcome.number))
        attempt.settled = True
        if attempt.follow_ups is not None:
            attempt.follow_ups.take()  # whoever still speaks in its name is refused from here on
        claimed = attempt.claimed
        self._held.pop((claimed.token, claimed.number), None)
        parts.freed.set()
        parts.outcome_hooks.finished(attempt, outcome)
        return settled

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

    def _require_open(self) -> _Parts:
        if self._closed:
            raise InvalidOptionError("claims: these were closed; make others with app.claims(...)")
        return self._require_parts()

    def _require_parts(self) -> _Parts:
        if self._parts is None:
            raise InvalidOptionError(
                "claims: enter them first, with 'async with app.claims(...) as claims:' or, in"
                " plain code, 'with app.claims(...) as claims:'"
            )
        return self._parts


class _Parts:
    """What stands between claims and the store, from their beginning to their end."""

    def __init__(self, claims: Claims, backend: Backend) -> None:
        options, hooks = claims.options, claims._hooks
        lease_ms = round(options.lease_s * 1000)
        self.dispatch = dispatch = backend.dispatch
        self._claims = claims
        self._hooks = hooks
        self.freed = asyncio.Event()
        """Set when a job is held no longer."""
        self._registration = Registration(backend, claims.id, options, _AnyName())
        self._stopping = Stopping(options.shutdown_s)
        self._outbox = Outbox()
        self._letters = LetterWriter(backend, stored=LetterHooks(hooks).stored)
        self.outcome_hooks = OutcomeHooks(hooks, self._outbox, self._letters, JobLog(hooks))
        self._sender = MessageSender(dispatch, refused=claims._losses.message_refused)
        maker = FollowUpMaker(claims._handlers, dispatch.together, claims._enqueue_middleware)
        loop = asyncio.get_running_loop()
        asking = FlowAsking(backend.flows)
        asking.prepare = maker.prepare
        self.messages = AttemptMessages(loop, self._sender, hooks, maker, asking)
        self.intake = Intake(
            dispatch,
            claims,
            self._outbox,
            worker_id=claims.id,
            lease_ms=lease_ms,
            stopping=self._stopping,
            schedules=ScheduleKeeper(backend.schedules, timezone=claims._timezone),
            removed=self.outcome_hooks.expect_lost,
        )
        self.exchange = ClaimExchange(
            dispatch,
            self._outbox,
            worker_id=claims.id,
            plan=FetchPlan(options.queues, weights=None, lease_ms=lease_ms, rate=options.rate),
            patience_s=options.stale_after_s,
            start=self.intake.start,
            delivered=self.outcome_hooks.delivered,
            before=self._sender.flush,
        )
        self._keeper = LeaseKeeper(
            dispatch,
            backend.workers,
            worker_id=claims.id,
            lease_s=options.lease_s,
            running=claims._held if claims._renews else {},
            renewed=claims._losses.renewed,
            kept=partial(self._kept, loop),
            blocked=lambda culprit, duration_s: None,
            forgotten=self._registration.announce_again,
            refused=_nothing,
            woken=_nothing,
            wished=self._ignore,
        )
        self._sweeper = Sweeper(
            dispatch,
            every_s=options.sweep_s,
            max_stalled=options.max_stalled,
            stalled=lambda queue, job_id: hooks.tell("stalled", queue=queue, job_id=job_id),
        )
        self._sweeping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        await self._registration.announce()
        self._keeper.start()
        self._sweeping = asyncio.create_task(self._sweeper.run(), name="toril-sweeper")

    async def end(self) -> None:
        """Give back what is held. Each step is bounded in time."""
        claims = self._claims
        self._stopping.request()  # from here on what is claimed goes back as well
        claims._ready.clear()
        for attempt in list(claims._held.values()):
            attempt.stop("released", "the claims were closed")
            claims._send(attempt, claims.endings.stopped(attempt))
        await self.intake.settle()
        await self._letters.settle(FAREWELL_S)
        await self.exchange.finish(FAREWELL_S)
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        await self._sender.drain()
        await self._keeper.stop()
        await self._registration.settle()
        await self._hooks.finish(FAREWELL_S)
        await self._registration.end(may_hold_jobs=self.exchange.may_hold_jobs)

    def _ignore(self, wish: str) -> None:
        log.warning("%s was told to %s; claims are made by hand", self._claims.id, word_of(wish))

    def _kept(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        if count and "renewed" in self._hooks.wanted:
            tell = partial(self._hooks.tell, "renewed", worker_id=self._claims.id, count=count)
            loop.call_soon_threadsafe(tell)


class _AnyName:
    """What the register is told: whoever claims by hand may take jobs of any name."""

    def names(self, queue: str) -> list[str]:
        return [ANY_NAME]


async def _until(event: asyncio.Event, timeout_s: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


def _nothing() -> None:
    """Go on."""
