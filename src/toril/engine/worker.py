"""A worker: starts and stops the loops that fetch, run, keep and sweep.

Fetching is `fetcher.py`, running `executor.py`, leases `leases.py`, recovery `sweeper.py`. This
module only puts them together and takes them down in the right order.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

from toril.core.checks import require
from toril.core.errors import BackendError
from toril.core.ids import check_queue_name, new_worker_id
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.contract import Backend
from toril.engine.contract.dispatch import Hold, Renewal, Speech
from toril.engine.contract.workers import WorkerRecord
from toril.engine.executor import Executor
from toril.engine.fetch_plan import FetchPlan
from toril.engine.fetcher import Fetcher
from toril.engine.flow_asking import FlowAsking
from toril.engine.handler import Handlers
from toril.engine.hooks import HookName, Hooks
from toril.engine.job import Claimed, Finished
from toril.engine.judging import describe
from toril.engine.leases import LeaseKeeper
from toril.engine.middleware import Middleware
from toril.engine.options import RateLimit
from toril.engine.runners.memory import own_resident_bytes
from toril.engine.runners.processes import ProcessOptions
from toril.engine.speaker import Speaker
from toril.engine.sweeper import Sweeper
from toril.version import VERSION

log = logger("toril.worker")

FAREWELL_S = 5.0
"""How long released attempts have to let go, before the worker leaves without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works."""

    queues: Sequence[str]
    """Which queues, in the order in which they are asked."""
    weights: Mapping[str, int] | None = None
    """Shares of the slots by queue, in place of that order. Every queue has one, from 1."""
    concurrency: int = 10
    """Jobs at once."""
    lease_s: float = 30.0
    """How long a claim holds without renewal, in seconds. Renewed long before."""
    max_stalled: int = 1
    """How often a job may lose its worker, in one attempt that was begun, before it is failed
    without another run."""
    sweep_s: float = 30.0
    """Longest time between two looks for jobs of dead workers, in seconds. Mostly sooner: when a
    worker may turn out to be dead."""
    shutdown_s: float = 25.0
    """How long `stop()` lets running jobs go on, in seconds. Less than what the machine allows."""
    stale_after_s: float = 60.0
    """If the store does not answer for so long, the worker ends with its error, in seconds."""
    rate: RateLimit | None = None
    """At most so many starts in a window, counted per queue over all workers that have a limit."""
    processes: ProcessOptions = field(default_factory=ProcessOptions)
    """How child processes are recycled."""

    def __post_init__(self) -> None:
        require(len(self.queues) > 0, "queues", self.queues, "at least one queue")
        for queue in self.queues:
            check_queue_name(queue)
        if self.weights is not None:
            require(
                set(self.weights) == set(self.queues)
                and all(
                    isinstance(weight, int) and weight >= 1 for weight in self.weights.values()
                ),
                "weights",
                dict(self.weights),
                f"an integer from 1 for each of {', '.join(self.queues)}",
            )
        good = isinstance(self.concurrency, int) and 1 <= self.concurrency <= 100_000
        require(good, "concurrency", self.concurrency, "an integer from 1 to 100,000")
        require(self.lease_s >= 0.1, "lease_s", self.lease_s, "seconds, from 0.1")
        require(self.max_stalled >= 0, "max_stalled", self.max_stalled, "an integer from 0")
        require(self.sweep_s > 0, "sweep_s", self.sweep_s, "seconds, above 0")
        require(self.shutdown_s >= 0, "shutdown_s", self.shutdown_s, "seconds, 0 or more")
        require(self.stale_after_s > 0, "stale_after_s", self.stale_after_s, "seconds, above 0")


class Worker:
    """Runs the jobs of some queues until it is stopped. One use each."""

    def __init__(
        self,
        backend: Backend,
        handlers: Handlers,
        options: WorkerOptions,
        *,
        hooks: Hooks | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        self.id = new_worker_id()
        self.options = options
        self._backend = backend
        self._handlers = handlers
        self._hooks = hooks or Hooks()
        self._middleware = middleware
        self._stopping = asyncio.Event()
        self._now = asyncio.Event()
        self._ready = asyncio.Event()
        self._quiet = False
        self._shutdown_s = options.shutdown_s
        self._lease_ms = 0
        self._executor: Executor | None = None
        self._fetcher: Fetcher | None = None
        self._keeper: LeaseKeeper | None = None
        self._speaker: Speaker | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._beside: asyncio.Task[None] | None = None
        self._saying: set[asyncio.Task[None]] = set()
        """Attempts that begin once the store knows that they do."""
        self._untold: dict[tuple[str, int | str], dict[str, Any]] = {}
        """What hooks will be told once the store has the outcome."""

    @property
    def busy(self) -> int:
        """Slots in use."""
        return 0 if self._fetcher is None else self._fetcher.busy

    @property
    def running(self) -> list[str]:
        """What runs, for people: task, job and queue of each attempt."""
        attempts = [] if self._executor is None else list(self._executor.running.values())
        return [attempt.label for attempt in attempts]

    async def __aenter__(self) -> Self:
        """Work beside the code in the block; at its end stop, and wait for what runs."""
        self._beside = asyncio.create_task(self.run(), name="toril-worker")
        self._beside.add_done_callback(self._say_why)
        started = asyncio.create_task(self._ready.wait())
        await asyncio.wait([self._beside, started], return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._beside.done():
            await self._beside
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        if self._beside is not None:
            await self._beside

    def _say_why(self, beside: asyncio.Task[None]) -> None:
        """Say what ended the worker, at once: the program may not ask for long."""
        if beside.cancelled():
            log.warning("worker %s was cancelled", self.id)
        elif error := beside.exception():
            log.critical("worker %s has ended: %s", self.id, describe(error))

    async def ready(self) -> None:
        """Wait until it is at work."""
        await self._ready.wait()

    def quiet(self) -> None:
        """Take no new jobs; go on with those that run."""
        self._quiet = True
        if self._fetcher is not None:
            self._fetcher.quiet()
        if self._keeper is not None:
            self._keeper.quiet()

    def wake(self) -> None:
        """Look whether the process stood still, before its tasks go on. From a SIGCONT handler.

        A worker notices it by itself, but not before the turn of the event loop has ended in whose
        middle it was stopped.
        """
        if self._keeper is not None:
            self._keeper.look()

    def stop(self, deadline_s: float | None = None) -> None:
        """Take no new jobs, let running ones end, give back what is left, and end `run`.

        A second call stops now: what still runs is given back, without costing it an attempt.

        Parameters:
            deadline_s: How long running jobs may go on, in seconds. Default: `shutdown_s`.
        """
        if self._stopping.is_set():
            self._now.set()
            return
        if deadline_s is not None:
            self._shutdown_s = deadline_s
        self.quiet()
        self._stopping.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop()`.

        When the task that awaits this is cancelled, jobs that run are given back first.

        Parameters:
            until_idle: Stop by itself once nothing runs and nothing can be taken: jobs that wait
                for a moment, for a limit or in a paused queue are left.

        Raises:
            BackendError: The store did not answer for `stale_after_s`, or never can again.
            InvalidOptionError: It has run before.
        """
        require(self._executor is None, "worker", self.id, "one that has not run; make another")
        dispatch = self._backend.dispatch
        options = self.options
        lease_ms = self._lease_ms = round(options.lease_s * 1000)
        running = asyncio.current_task()
        await self._backend.workers.register(self._card())
        speaker = self._speaker = Speaker(dispatch, lost=self._speech_lost)
        executor = self._executor = Executor(
            self._handlers,
            worker_id=self.id,
            middleware=self._middleware,
            hooks=self._hooks,
            processes=options.processes,
            together=dispatch.together,
            finished=self._attempt_finished,
            speaker=speaker,
            asking=FlowAsking(self._backend.flows),
            ending=lambda: running is not None and running.cancelling() > 0,
        )
        fetcher = self._fetcher = Fetcher(
            dispatch,
            worker_id=self.id,
            plan=FetchPlan(
                options.queues, weights=options.weights, lease_ms=lease_ms, rate=options.rate
            ),
            capacity=options.concurrency,
            start=self._start,
            lost=self._outcome_lost,
            before=speaker.flush,
            applied=self._outcome_applied,
            idle=self.stop if until_idle else _nothing,
        )
        keeper = self._keeper = LeaseKeeper(
            dispatch,
            self._backend.workers,
            worker_id=self.id,
            lease_s=options.lease_s,
            running=executor.running,
            renewed=self._renewed,
            blocked=self._blocked,
            forgotten=self._register_again,
            refused=fetcher.look,
            woken=fetcher.doubt,
        )
        if self._quiet:
            self.quiet()
        keeper.start()
        sweeper = Sweeper(
            dispatch,
            every_s=options.sweep_s,
            max_stalled=options.max_stalled,
            stalled=lambda queue, job_id: self._hooks.tell("stalled", queue=queue, job_id=job_id),
        )
        fetching = asyncio.create_task(fetcher.run(), name="toril-fetcher")
        helpers = [
            asyncio.create_task(sweeper.run(), name="toril-sweeper"),
            asyncio.create_task(self._watch(fetcher, fetching), name="toril-watchdog"),
        ]
        self._ready.set()
        try:
            try:
                await self._until_stopped(fetching)
                await self._let_end(fetcher, fetching)
            finally:
                # However it came: what runs is given back before we leave.
                await self._give_back(executor, fetcher, fetching)
        finally:
            for task in [*helpers, fetching]:
                task.cancel()
            for task in [*helpers, fetching]:
                with suppress(asyncio.CancelledError, BackendError):
                    await task
            await self._leave(executor, fetcher, keeper, speaker)

    async def _until_stopped(self, fetching: asyncio.Task[None]) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait([stopping, fetching], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if fetching.done():
            await fetching  # raises what ended it

    async def _let_end(self, fetcher: Fetcher, fetching: asyncio.Task[None]) -> None:
        """Wait for running jobs: until the deadline, or until `stop` is called once more."""
        now = asyncio.create_task(self._now.wait())
        begin_s = time.monotonic()
        until_s = begin_s + self._shutdown_s
        answer_until_s = begin_s + FAREWELL_S  # a store that is silent is not waited for
        try:
            while (left_s := until_s - time.monotonic()) > 0 and (
                fetcher.busy or (fetcher.expects and time.monotonic() < answer_until_s)
            ):
                await asyncio.wait(
                    [now, fetching],
                    timeout=min(left_s, 0.02),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if now.done() or fetching.done():
                    break
        finally:
            now.cancel()

    async def _give_back(
        self, executor: Executor, fetcher: Fetcher, fetching: asyncio.Task[None]
    ) -> None:
        """Give back the jobs that still run, and hand over what is to be handed over."""
        self._stopping.set()  # from here on what is claimed goes back as well
        fetcher.quiet()
        left = list(executor.running.values())
        if left:
            log.warning("giving back %d jobs that still run", len(left))
        for attempt in left:
            attempt.stop("released", "the worker is stopping")
        letting_go = [attempt.task for attempt in left if attempt.task is not None]
        if letting_go:
            await asyncio.wait(letting_go, timeout=FAREWELL_S)
        for attempt in list(executor.running.values()):
            executor.abandon(attempt)
        fetcher.end()
        if fetching.cancelled():  # with all tasks of a program that ends; we are not done with it
            fetching = asyncio.create_task(fetcher.run(), name="toril-fetcher")
        await asyncio.wait([fetching], timeout=FAREWELL_S)
        if fetching.done():
            await fetching
        else:
            fetching.cancel()

    async def _leave(
        self, executor: Executor, fetcher: Fetcher, keeper: LeaseKeeper, speaker: Speaker
    ) -> None:
        await speaker.settle()
        await executor.close()
        await keeper.stop()
        if self._announcing is not None:
            await asyncio.wait([self._announcing])
        await self._hooks.settle(FAREWELL_S)
        with suppress(BackendError):  # it may be why we leave; the register forgets us by itself
            # What the store could not take, or has not answered: others need not await its lease.
            if fetcher.busy or fetcher.expects or fetcher.unanswered:
                await self._backend.workers.declare_dead(self.id)
            else:
                await self._backend.workers.deregister(self.id)

    async def _watch(self, fetcher: Fetcher, fetching: asyncio.Task[None]) -> None:
        """End the worker when the store has not answered for too long."""
        limit_s = self.options.stale_after_s
        while True:
            await asyncio.sleep(min(1.0, limit_s / 4))
            trouble = fetcher.trouble
            if trouble is not None and time.monotonic() - fetcher.trouble_since_s > limit_s:
                log.critical("the store did not answer for %s s; giving up", limit_s)
                self._hooks.tell("error", error=trouble, reason=str(trouble))
                fetcher.give_up(trouble)
                await asyncio.wait([fetching])
                return

    def _start(self, claimed: Claimed, *, told: bool = False) -> None:
        """Begin an attempt; or give the job back, if its claim was answered while we leave."""
        assert self._executor is not None  # noqa: S101 - `run` has made both
        assert self._fetcher is not None  # noqa: S101 - as above
        if self._stopping.is_set():
            self._fetcher.finished(Finished.given_back(claimed, self.id))
        elif claimed.attempts_started > claimed.attempts_made + 1 and not told:
            saying = asyncio.create_task(self._say_begun(claimed))
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)
        else:
            self._executor.start(claimed, self._lease_ms)

    async def _say_begun(self, claimed: Claimed) -> None:
        """Tell the store that an attempt begins, then begin it. For jobs with an uncounted start.

        Such a job may have lost its worker. If it loses this one too, the store must know that the
        attempt had begun, so the lease is renewed first. Other jobs need no extra call.
        """
        hold = Hold(
            claimed.queue, claimed.number, claimed.token, self._lease_ms, claimed.attempts_started
        )
        with suppress(BackendError):  # told or not: what was claimed is run
            await asyncio.to_thread(self._backend.dispatch.renew, self.id, [hold])
        self._start(claimed, told=True)

    def _attempt_finished(self, attempt: Attempt, outcome: Finished) -> None:
        assert self._fetcher is not None  # noqa: S101 - as above
        if self._hooks.wants(outcome.kind):
            facts = attempt.names()
            facts["duration_s"] = time.monotonic() - attempt.started_s
            facts["error"] = attempt.error
            self._untold[outcome.token, outcome.number] = facts
        self._fetcher.finished(outcome)

    def _outcome_applied(self, outcome: Finished) -> None:
        """Tell the hooks, now that the store has it."""
        facts = self._untold.pop((outcome.token, outcome.number), None)
        if facts is not None:
            if outcome.kind == "completed":
                facts["result"] = outcome.value
            self._hooks.tell(cast("HookName", outcome.kind), reason=outcome.reason, **facts)

    def _outcome_lost(self, outcome: Finished) -> None:
        self._untold.pop((outcome.token, outcome.number), None)
        log.warning(
            "job %s of %s was given to somebody else meanwhile; its late outcome (%s) was dropped",
            outcome.job_id,
            outcome.queue,
            outcome.kind,
        )
        self._hooks.tell("lease_lost", queue=outcome.queue, job_id=outcome.job_id)

    def _speech_lost(self, speech: Speech) -> None:
        self._stop_attempt(Hold(speech.queue, speech.number, speech.token, 0), "the lease was lost")

    def _renewed(self, renewal: Renewal) -> None:
        for hold in renewal.lost:
            self._stop_attempt(hold, "the lease was lost")
        for hold, reason in renewal.cancelled:
            attempt = self._held(hold)
            if attempt is not None and attempt.stop_kind is None:
                attempt.stop("cancelled", reason)

    def _stop_attempt(self, hold: Hold, reason: str) -> None:
        attempt = self._held(hold)
        if attempt is not None and attempt.stop_kind is None:
            attempt.stop("lease_lost", reason)

    def _held(self, hold: Hold) -> Attempt | None:
        assert self._executor is not None  # noqa: S101 - as above
        return self._executor.running.get((hold.token, hold.number))

    def _blocked(self, culprit: str | None, duration_s: float) -> None:
        self._hooks.tell("blocked", reason=culprit, duration_s=duration_s)

    def _register_again(self) -> None:
        log.warning("worker %s was taken for dead, and is not: announcing it again", self.id)
        self._announcing = asyncio.create_task(self._announce())

    async def _announce(self) -> None:
        with suppress(BackendError):  # the next beat will tell again
            await self._backend.workers.register(self._card())

    def _card(self) -> WorkerRecord:
        return WorkerRecord(
            id=self.id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self.options.queues),
            concurrency=self.options.concurrency,
            running=0,
            started_ms=self._backend.clock.now_ms(),
            beat_age_ms=0,
            quiet=False,
            resident_bytes=own_resident_bytes(),
            version=VERSION,
        )


def _nothing() -> None:
    """Go on."""
