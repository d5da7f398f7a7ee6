"""A worker: starts and stops the loops that fetch, run, keep and sweep.

This module puts the parts together and takes them down in the right order. Fetching is
`fetcher.py`, running `executor.py`, leases `leases.py`, recovery `sweeper.py`, leaving
`stopping.py`. An outcome's way is one direction: `executor.py`, `outcome_hooks.py`, `outbox.py`,
`fetcher.py`, and then the hooks.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

from toril.core.checks import require
from toril.core.errors import BackendError, InvalidOptionError
from toril.core.ids import new_worker_id
from toril.core.loggers import logger
from toril.engine.beside import Beside
from toril.engine.bulk.keeper import OperationKeeper
from toril.engine.contract import Backend
from toril.engine.drafts import EnqueueMiddleware
from toril.engine.executor import Executor
from toril.engine.fetch_plan import FetchPlan
from toril.engine.fetcher import Fetcher
from toril.engine.flow_asking import FlowAsking
from toril.engine.handler import Handlers
from toril.engine.hooks import Hooks
from toril.engine.intake import Intake
from toril.engine.job_log import JobLog
from toril.engine.judging import describe
from toril.engine.lease_losses import LeaseLosses
from toril.engine.leases import LeaseKeeper
from toril.engine.letter_hooks import LetterHooks
from toril.engine.letter_keeper import LetterKeeper
from toril.engine.letter_writer import LetterWriter
from toril.engine.life_cycle import LifeCycle
from toril.engine.message_sender import MessageSender
from toril.engine.middleware import Middleware
from toril.engine.operations import Operations
from toril.engine.outbox import Outbox
from toril.engine.outcome_hooks import OutcomeHooks
from toril.engine.registration import Registration
from toril.engine.runners.in_thread import PlainRunner
from toril.engine.schedules.declaring import Declaration
from toril.engine.schedules.fitting import unfit
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.schedules.loop import ScheduleLoop
from toril.engine.stopping import FAREWELL_S, Stopping
from toril.engine.sweeper import Sweeper
from toril.engine.tracing import Tracer
from toril.engine.unknown_tasks import UnknownTasks
from toril.engine.wishes import obey
from toril.engine.worker_hooks import WorkerHooks
from toril.engine.worker_options import WorkerOptions

log = logger("toril.worker")

IDLE_LOOK_S = 0.02
"""Between two looks of `Worker.idle`."""


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
        enqueue_middleware: Sequence[EnqueueMiddleware] = (),
        declarations: Sequence[Declaration] = (),
        code: frozenset[str] = frozenset(),
        timezone: str = "UTC",
        version: str | None = None,
        life_cycle: LifeCycle | None = None,
        operations: Operations | None = None,
        tracer: Tracer | None = None,
        companions: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
        beside: Beside | None = None,
    ) -> None:
        self.id = new_worker_id()
        self._version = version
        self._life_cycle = life_cycle
        self._companions = companions
        """What runs beside the jobs, until it is cancelled."""
        self._second = beside
        """What works a second store beside this worker, which then may start without its own."""
        self._operations = operations or Operations(hooks or Hooks())
        self._has_run = False
        self.options = options
        self._backend = backend
        self._handlers = handlers
        self._hooks = hooks or Hooks()
        self._middleware = middleware
        self._enqueue_middleware = enqueue_middleware
        self._tracer = tracer
        self._stopping = Stopping(options.shutdown_s)
        self._ready = asyncio.Event()
        self._quiet = False
        self._paused = False
        self._executor: Executor | None = None
        self._fetcher: Fetcher | None = None
        self._keeper: LeaseKeeper | None = None
        self._registration: Registration | None = None
        self._beside: asyncio.Task[None] | None = None
        self._threads: PlainRunner | None = None
        """What runs plain functions. None: threads of the worker's own. For tests."""
        self._schedule_keeper = ScheduleKeeper(backend.schedules, timezone=timezone)
        self._schedules = ScheduleLoop(
            backend.schedules,
            self._schedule_keeper,
            queues=options.queues,
            declarations=declarations,
            by=code,
            problem=lambda schedule: unfit(schedule, handlers),
        )

    @property
    def busy(self) -> int:
        """Slots in use."""
        return 0 if self._fetcher is None else self._fetcher.busy

    @property
    def running(self) -> list[str]:
        """What runs, for people: task, job and queue of each attempt."""
        executor = self._executor
        return [] if executor is None else [one.label for one in list(executor.running.values())]

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

    @property
    def paused(self) -> bool:
        """Whether it takes no jobs until `resume`."""
        return self._paused

    def pause(self) -> None:
        """Take no new jobs until `resume`; go on with those that run.

        A claim that is in flight at this moment may still bring some. `await worker.idle()` waits
        until none runs any more. It may be called before `run`. Other workers go on: to stop all of
        them, pause the queue.
        """
        if not self._quiet and not self._paused:
            self._paused = True
            self._take_no_more()
            if self._second is not None:
                self._second.pause()

    def resume(self) -> None:
        """Take new jobs again after `pause`. Nothing happens if it is not paused.

        Raises:
            InvalidOptionError: `quiet` or `stop` was called, and they are final.
        """
        if self._quiet:
            raise InvalidOptionError(
                f"worker={self.id!r}: quiet() or stop() was called, after which it takes no jobs"
                " any more; make another worker"
            )
        if self._paused:
            self._paused = False
            if self._keeper is not None:
                self._keeper.claims("open")
            if self._fetcher is not None:
                self._fetcher.resume()
            if self._second is not None:
                self._second.resume()

    def resize(self, concurrency: int) -> None:
        """Run so many jobs at once from now on, in place of `WorkerOptions.concurrency`.

        If that is fewer than before, those that run go on, and new ones start once there are fewer;
        a claim that is in flight at this moment may still bring some. The register knows the new
        number at once. It may be called before `run`.

        Parameters:
            concurrency: 1 to 100,000.

        Raises:
            InvalidOptionError: It is not.
        """
        self.options = replace(self.options, concurrency=concurrency)
        if self._registration is not None:
            self._registration.options = self.options
        if self._fetcher is not None:
            self._fetcher.resize(concurrency)
        if self._keeper is not None:
            self._keeper.resized(concurrency)

    async def idle(self) -> None:
        """Wait until it holds no job and awaits none, as after `pause`."""
        while True:
            fetcher = self._fetcher
            if fetcher is None or not (fetcher.busy or fetcher.awaits_reply):
                return
            await asyncio.sleep(IDLE_LOOK_S)

    def quiet(self) -> None:
        """Take no new jobs ever; go on with those that run. See `pause` for a while only."""
        self._quiet, self._paused = True, False
        self._take_no_more()

    def _take_no_more(self) -> None:
        if self._fetcher is not None:
            self._fetcher.quiet()
        if self._keeper is not None:
            self._keeper.claims("paused" if self._paused else "quiet")

    def wake(self) -> None:
        """Check whether the process stood still, before its tasks go on. From a SIGCONT handler.

        A worker checks that by itself, but only after the turn of the event loop in whose middle
        the process was stopped.
        """
        if self._keeper is not None:
            self._keeper.look()

    def stop(self, deadline_s: float | None = None) -> None:
        """Take no new jobs, let running ones end, give back what is left, and end `run`.

        A second call stops now: what still runs is given back, without costing it an attempt.

        Parameters:
            deadline_s: How long running jobs may go on, in seconds. Default: `shutdown_s`.
        """
        if not self._stopping.requested.is_set():
            self.quiet()
        if self._second is not None:
            self._second.stop(self.options.shutdown_s if deadline_s is None else deadline_s)
        self._stopping.request(deadline_s)

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop()`.

        When the task that awaits this is cancelled, jobs that run are given back first.

        Parameters:
            until_idle: Stop by itself once nothing runs and nothing can be taken: jobs that wait
                for a moment, for a limit or in a paused queue are left.

        Raises:
            BackendError: The store did not answer for `stale_after_s`, or never can again.
            InvalidOptionError: It has run before.
            WorkerStartError: `on_start` or the lifespan of the app failed. No job was taken.
        """
        require(not self._has_run, "worker", self.id, "one that has not run; make another")
        self._has_run = True
        if self._life_cycle is None:
            await self._work(until_idle=until_idle)
        elif await self._start(self._life_cycle):
            try:
                await self._work(until_idle=until_idle)
            finally:
                await self._life_cycle.leave()

    async def _start(self, life_cycle: LifeCycle) -> bool:
        """Start what the app has to start; return whether that was done before `stop()`."""
        entering = asyncio.create_task(life_cycle.enter())
        requested = asyncio.create_task(self._stopping.requested.wait())
        try:
            await asyncio.wait([entering, requested], return_when=asyncio.FIRST_COMPLETED)
        except BaseException:  # the program ends: what has started meanwhile is stopped
            if not await self._entered(entering):
                raise
            await life_cycle.leave()
            raise
        finally:
            requested.cancel()
        return await self._entered(entering)

    async def _entered(self, entering: asyncio.Task[None]) -> bool:
        """Give up the start of the app, unless it is done; return whether it is."""
        if not entering.done():
            entering.cancel()
            await asyncio.wait([entering])
        if entering.cancelled():
            return False
        await entering  # raises what went wrong
        return True

    async def _work(self, *, until_idle: bool) -> None:
        """Fetch and run jobs."""
        dispatch, options = self._backend.dispatch, self.options
        lease_ms = round(options.lease_s * 1000)
        running = asyncio.current_task()
        registration = self._registration = Registration(
            self._backend, self.id, options, self._handlers
        )
        if self._second is None:
            await registration.announce()
        else:  # its store may be away: heartbeats announce it once it is back
            registration.announce_later()
            self._ready.set()
        outbox = Outbox()
        told = WorkerHooks(self._hooks, self.id)
        letter_hooks = LetterHooks(self._hooks)
        letters = LetterWriter(self._backend, stored=letter_hooks.stored)
        job_log = JobLog(self._hooks)
        outcome_hooks = OutcomeHooks(
            self._hooks, outbox, letters, job_log, traces=self._tracer is not None
        )
        sender = MessageSender(dispatch, refused=lambda message: losses.message_refused(message))
        executor = self._executor = Executor(
            self._handlers,
            worker_id=self.id,
            middleware=self._middleware,
            hooks=self._hooks,
            processes=options.processes,
            unknown=UnknownTasks(
                self._backend.jobs,
                self._handlers,
                policy=options.unknown_tasks,
                patience_s=options.unknown_task_patience_s,
                who=f"worker {self.id}" + (f" (version {self._version})" if self._version else ""),
            ),
            job_log=job_log,
            together=dispatch.together,
            finished=outcome_hooks.finished,
            sender=sender,
            asking=FlowAsking(self._backend.flows),
            ending=lambda: running is not None and running.cancelling() > 0,
            enqueue_middleware=self._enqueue_middleware,
            threads=self._threads,
            tracer=self._tracer,
        )
        losses = LeaseLosses(executor.running)
        intake = Intake(
            dispatch,
            executor,
            outbox,
            worker_id=self.id,
            lease_ms=lease_ms,
            stopping=self._stopping,
            schedules=self._schedule_keeper,
            removed=outcome_hooks.expect_lost,
        )
        fetcher = self._fetcher = Fetcher(
            dispatch,
            outbox,
            worker_id=self.id,
            plan=FetchPlan(
                options.queues,
                weights=options.weights,
                lease_ms=lease_ms,
                rate=options.rate,
                rates=options.rates,
                at_once=options.at_once,
            ),
            capacity=self.options.concurrency,
            start=intake.start,
            delivered=outcome_hooks.delivered,
            before=sender.flush,
            idle=partial(self._idle, told, until_idle=until_idle),
        )
        keeper = self._keeper = LeaseKeeper(
            dispatch,
            self._backend.workers,
            worker_id=self.id,
            concurrency=self.options.concurrency,
            lease_s=options.lease_s,
            running=executor.running,
            renewed=losses.renewed,
            kept=told.renewed,
            blocked=told.blocked,
            forgotten=registration.announce_again,
            refused=fetcher.poll,
            woken=fetcher.in_flight.give_back_claims,
            wished=partial(obey, self),
        )
        sweeper = Sweeper(
            dispatch,
            every_s=options.sweep_s,
            max_stalled=options.max_stalled,
            stalled=lambda queue, job_id: self._hooks.tell("stalled", queue=queue, job_id=job_id),
            history=self._backend.history,
        )
        letter_keeper = LetterKeeper(self._backend, options.queues, told=letter_hooks.added)
        operation_keeper = OperationKeeper(self._backend, self._operations)
        if self._quiet or self._paused:
            self._take_no_more()
        keeper.start()
        fetching = asyncio.create_task(self._fetch(fetcher), name="toril-fetcher")
        watching = fetcher.outage.watch(options.stale_after_s, self._give_up)
        helpers = [
            asyncio.create_task(self._schedules.run(), name="toril-schedules"),
            asyncio.create_task(sweeper.run(), name="toril-sweeper"),
            asyncio.create_task(letter_keeper.run(), name="toril-letters"),
            asyncio.create_task(operation_keeper.run(), name="toril-operations"),
            asyncio.create_task(watching, name="toril-watchdog"),
            *(asyncio.create_task(companion()) for companion in self._companions),
        ]
        if self._second is not None:
            helpers.append(asyncio.create_task(self._second.run(), name="toril-beside"))
        try:
            try:
                await self._stopping.until_requested(fetching)
                await self._stopping.let_jobs_end(fetcher, fetching)
                if self._second is not None:
                    await self._second.finish()
            finally:
                # However it came: what runs is given back before we leave.
                await self._stopping.give_back(executor, fetcher, fetching)
        finally:
            for task in [*helpers, fetching]:
                task.cancel()
            for task in [*helpers, fetching]:
                with suppress(asyncio.CancelledError, BackendError):
                    await task
            await sender.drain()
            await executor.close()
            await keeper.stop()
            await registration.settle()
            await letters.settle(FAREWELL_S)
            await self._hooks.finish(FAREWELL_S)
            await registration.end(
                may_hold_jobs=fetcher.busy > 0 or fetcher.awaits_reply or fetcher.unanswered
            )
            await told.closed(sys.exception(), timeout_s=FAREWELL_S)

    async def _fetch(self, fetcher: Fetcher) -> None:
        """Bring schedules in line with what the code declares, then take jobs."""
        looking = asyncio.create_task(self._schedules.look(), name="toril-schedules")
        stopping = asyncio.create_task(self._stopping.requested.wait())
        try:
            await asyncio.wait([looking, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            stopping.cancel()
        self._ready.set()
        await fetcher.run()

    def _give_up(self, error: BackendError) -> None:
        """End the worker: the store has not answered for too long."""
        self._hooks.tell("error", error=error, reason=str(error))
        if self._fetcher is not None:
            self._fetcher.give_up(error)

    def _idle(self, told: WorkerHooks, *, until_idle: bool) -> None:
        """Take note that no slot is in use and there is nothing to claim."""
        fetcher = self._fetcher
        if fetcher is not None and fetcher.has_claimed:
            fetcher.has_claimed = False
            told.drained()
        if until_idle:
            self.stop()
