"""Holds the jobs that were claimed by hand: a worker's parts, but for what fetches and what runs.

An outcome's way is the worker's: endings, letters, outbox, an exchange, and then the hooks.

Read next: `claim_exchange.py` (how outcomes and claims reach the store).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from toril.core.errors import SealedFieldError
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.attempt_context import give_context
from toril.engine.attempt_messages import AttemptMessages
from toril.engine.claim_exchange import ClaimExchange, Settled
from toril.engine.claimed_job import ClaimedJob
from toril.engine.contract import Backend
from toril.engine.contract.dispatch import ExchangeReply
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
from toril.engine.tracing import Tracer, ended_with
from toril.engine.wishes import word_of
from toril.engine.worker_hooks import WorkerHooks
from toril.engine.worker_options import WorkerOptions

log = logger("toril.worker")

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSetup:
    """What an app gives to its claims."""

    handlers: Handlers
    """The tasks, of which the policies are taken."""
    otherwise: Handler
    """Stands in for the task of jobs that have none here."""
    options: WorkerOptions
    """As of a worker that had so many slots."""
    renews: bool
    """A thread renews the leases."""
    run_sync: Callable[[Coroutine[Any, Any, Any]], Any]
    """Runs a coroutine for plain code."""
    hooks: Hooks
    enqueue_middleware: Sequence[EnqueueMiddleware] = ()
    """What sees each follow-up job first."""
    timezone: str = "UTC"
    """Of schedules that name none."""
    tracer: Tracer | None = None
    """Makes spans of the jobs that are held. None: nothing does."""


class ClaimHolder:
    """Holds jobs from `begin` to `end`. Belongs to the event loop on which it was made."""

    def __init__(self, backend: Backend, setup: ClaimSetup, worker_id: str) -> None:
        options, hooks = setup.options, setup.hooks
        lease_ms = round(options.lease_s * 1000)
        self._setup = setup
        self._worker_id = worker_id
        self._hooks = hooks
        self.dispatch = dispatch = backend.dispatch
        self.held: dict[tuple[str, int | str], Attempt] = {}
        """By token and number. Read by the lease thread."""
        self.ready: deque[ClaimedJob] = deque()
        """Claimed, and handed out to nobody yet."""
        self.freed = asyncio.Event()
        """Set when a job is held no longer."""
        self.endings = Endings(worker_id, lambda: False)
        self._losses = LeaseLosses(self.held)
        self._registration = Registration(backend, worker_id, options, _AnyName())
        self._stopping = Stopping(options.shutdown_s)
        outbox = Outbox()
        self._letters = LetterWriter(backend, stored=LetterHooks(hooks).stored)
        self._outcome_hooks = OutcomeHooks(
            hooks, outbox, self._letters, JobLog(hooks), traces=setup.tracer is not None
        )
        finished = self._outcome_hooks.finished
        self._finished = finished if setup.tracer is None else ended_with(setup.tracer, finished)
        self._sender = MessageSender(dispatch, refused=self._losses.message_refused)
        maker = FollowUpMaker(
            setup.handlers, dispatch.together, setup.enqueue_middleware, setup.tracer
        )
        asking = FlowAsking(backend.flows)
        asking.prepare = maker.prepare
        loop = asyncio.get_running_loop()
        self._messages = AttemptMessages(loop, self._sender, hooks, maker, asking)
        self._intake = Intake(
            dispatch,
            self,
            outbox,
            worker_id=worker_id,
            lease_ms=lease_ms,
            stopping=self._stopping,
            schedules=ScheduleKeeper(backend.schedules, timezone=setup.timezone),
            removed=self._outcome_hooks.expect_lost,
        )
        self._exchange = ClaimExchange(
            dispatch,
            outbox,
            worker_id=worker_id,
            plan=FetchPlan(options.queues, weights=None, lease_ms=lease_ms, rate=options.rate),
            patience_s=options.stale_after_s,
            start=self._intake.start,
            delivered=self._outcome_hooks.delivered,
            before=self._sender.flush,
        )
        told = WorkerHooks(hooks, worker_id)
        self._keeper = LeaseKeeper(
            dispatch,
            backend.workers,
            worker_id=worker_id,
            concurrency=options.concurrency,
            lease_s=options.lease_s,
            running=self.held if setup.renews else {},
            renewed=self._losses.renewed,
            kept=told.renewed,
            blocked=told.blocked,
            forgotten=self._registration.announce_again,
            refused=_nothing,
            woken=_nothing,
            wished=self._pass_over,
        )
        self._sweeper = Sweeper(
            dispatch,
            every_s=options.sweep_s,
            max_stalled=options.max_stalled,
            stalled=lambda queue, job_id: hooks.tell("stalled", queue=queue, job_id=job_id),
        )
        self._sweeping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Announce the holder, and keep what it will hold.

        Raises:
            BackendError: The store does not answer.
        """
        await self._registration.announce()
        self._keeper.start()
        self._sweeping = asyncio.create_task(self._sweeper.run(), name="toril-sweeper")

    async def end(self) -> None:
        """Give back what is held, and leave the register. Each step is bounded in time."""
        self._stopping.request()  # from here on what is claimed goes back as well
        self.ready.clear()
        for attempt in list(self.held.values()):
            attempt.stop("released", "the claims were closed")
            self._send(attempt, self.endings.stopped(attempt))
        await self._intake.settle()
        await self._letters.settle(FAREWELL_S)
        await self._exchange.finish(FAREWELL_S)
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        await self._sender.drain()
        await self._keeper.stop()
        await self._registration.settle()
        await self._hooks.finish(FAREWELL_S)
        await self._registration.end(may_hold_jobs=self._exchange.may_hold_jobs)

    async def ask(self, room: int) -> ExchangeReply:
        """Claim up to `room` jobs. Those that are to be handed out are `ready` by then.

        Raises:
            BackendError: The store did not answer, or cannot.
        """
        reply = await self._exchange.ask(room)
        await self._intake.settle()
        return reply

    def take(self, limit: int) -> list[ClaimedJob]:
        """Return up to `limit` jobs that are ready, to be handed out."""
        jobs: list[ClaimedJob] = []
        while self.ready and len(jobs) < limit:
            job = self.ready.popleft()
            if job.lost:  # nobody had come for it in time
                self._send(job.running, self.endings.stopped(job.running))
            else:
                jobs.append(job)
        return jobs

    def postpones(self, claimed: Claimed) -> bool:
        """Whether a job would be put back at once: it is the caller's, whatever tasks there are."""
        return False

    def start(self, claimed: Claimed, lease_ms: int) -> None:
        """Hold a job that was claimed; fail it if the store says so."""
        attempt = Attempt(claimed, lease_ms)
        setup = self._setup
        handler = setup.handlers.find(claimed.queue, claimed.name) or setup.otherwise
        attempt.handler = handler
        emit = partial(self._messages.receive, attempt)
        self.held[claimed.token, claimed.number] = attempt
        if setup.tracer is not None:  # current only where the caller says so: `ClaimedJob.tracing`
            copy_context().run(setup.tracer.begin, attempt, self._worker_id)
        try:  # Nobody ends it in time: it is not ours to run.
            context = give_context(
                attempt, handler, emit, worker_id=self._worker_id, timeout_s=None
            )
        except SealedFieldError as error:
            self._send(attempt, self.endings.raised(attempt, error))
            return
        if claimed.deferred_failure is not None:
            self._send(attempt, self.endings.raised(attempt, Fail(claimed.deferred_failure)))
            return
        if "active" in self._hooks.wanted:
            self._hooks.tell("active", **attempt.names())
        self.ready.append(ClaimedJob(self, attempt, context))

    async def settle(self, attempt: Attempt, outcome: Finished) -> Settled:
        """Store the outcome of an attempt.

        Raises:
            BackendError: The store did not answer for too long.
        """
        return await asyncio.shield(self._send(attempt, outcome))

    def tracing(self, attempt: Attempt) -> AbstractContextManager[None]:
        """Make the span of an attempt the current one, in a `with` block."""
        tracer = self._setup.tracer
        return nullcontext() if tracer is None else tracer.within(attempt)

    async def renew(self, attempt: Attempt) -> None:
        """Renew the lease of an attempt, and note what has become of its job.

        Raises:
            BackendError: The store did not answer.
        """
        renew = self.dispatch.renew
        self._losses.renewed(await asyncio.to_thread(renew, self._worker_id, [attempt.hold]))

    def run_sync(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call for plain code, and wait for it."""
        answer: T = self._setup.run_sync(call)
        return answer

    def _send(self, attempt: Attempt, outcome: Finished) -> asyncio.Future[Settled]:
        """Send the outcome of an attempt, which is held no longer."""
        settled = self._exchange.settled((outcome.token, outcome.number))
        attempt.settled = True
        if attempt.follow_ups is not None:
            attempt.follow_ups.take()  # whoever still speaks in its name is refused from here on
        claimed = attempt.claimed
        self.held.pop((claimed.token, claimed.number), None)
        self.freed.set()
        self._finished(attempt, outcome)
        return settled

    def _pass_over(self, wish: str) -> None:
        log.warning("%s was told to %s; claims are made by hand", self._worker_id, word_of(wish))


class _AnyName:
    """What the register is told: whoever claims by hand may take jobs of any name."""

    def names(self, queue: str) -> list[str]:
        return [ANY_NAME]


def _nothing() -> None:
    """Go on."""
