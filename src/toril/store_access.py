"""What an app does with its store: the queues, workers, schedules, flows and letters in it.

All of it goes through the store alone, so it works as well in a program that has no tasks. What few
programs need is imported where it is used, so that all start sooner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from toril.backends.forks import FORKS
from toril.backends.lazy import LazyStore
from toril.core.clock import Clock, SystemClock
from toril.core.errors import InvalidOptionError
from toril.core.ids import check_existing_queue_name, check_queue_name
from toril.core.masking import Masker
from toril.engine.audit import AuditLog, AuditRecorder
from toril.engine.contract import Backend, Health, Repair
from toril.engine.dead_letters import DEAD_LETTER, DeadLetterQueue
from toril.engine.drafts import EnqueueMiddleware
from toril.engine.flows import Flows
from toril.engine.handle import Job
from toril.engine.hooks import Hooks
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.operations import Operation
from toril.engine.operator import Progress
from toril.engine.producer import Producer
from toril.engine.queue import Queue
from toril.engine.row_writer import RowWriter
from toril.engine.store_operator import StoreOperator
from toril.engine.wishes import Wish
from toril.settings import Settings
from toril.tasks.door import Request, job_of_request
from toril.tasks.registry import Registry
from toril.tasks.schedules import Schedules

if TYPE_CHECKING:
    from toril.alerts.handle import Alerts
    from toril.alerts.setup import AlertSetup
    from toril.engine.migration import QueueMove
    from toril.engine.tracing import Tracer
    from toril.observability.collecting import Collector
    from toril.outbox.database import OutboxDatabase
    from toril.outbox.handle import Outbox

T = TypeVar("T")
C = TypeVar("C", bound="Collector")


class StoreAccess:
    """The calls of `App` that look at its store, or operate it."""

    _clock: Clock | None = None
    _tracer: Tracer | None = None

    def __init__(
        self, url: str | object, settings: Settings, open_store: Callable[[], Backend]
    ) -> None:
        """Prepare the calls; the store is opened when it is first needed.

        Parameters:
            url: Where the store is; apps with the same one share it.
            settings: Of the app.
            open_store: Called once, when the store is first needed.
        """
        self.settings = settings
        self._registry = Registry()
        self._hooks = Hooks()
        self._collectors: list[Collector] = []
        self._alert_setup: AlertSetup | None = None
        self._enqueue_middleware: list[EnqueueMiddleware] = []
        self._store = LazyStore(open_store)
        self._producer = Producer(
            self._store.get, url, self._hooks, middleware=self._enqueue_middleware
        )
        self._producer.encryption_keys = settings.encryption_keys
        self.masker = Masker(settings.mask)
        """What hides secrets in the audit log and in answers of a server. May be replaced."""
        if settings.audit != "off":
            self._producer.operations.audit = AuditRecorder(
                self._store.get,
                lambda: self.masker,
                which=settings.audit,
                keep=settings.audit_keep,
            )
        self._outbox_place: object = settings.outbox
        self._producer.row_writer = lambda: self._row_writer
        self.flows = Flows(self._producer)
        """Trees of jobs in which a parent waits for its children."""
        self._operator = StoreOperator(self._producer)
        FORKS.tell(self._producer)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def backend(self) -> Backend:
        """Return the store, opened at the first call.

        Raises:
            BackendError: It cannot be opened; the message says why and what to do.
        """
        return self._store.get()

    def queue(self, name: str, *, existing: bool = False) -> Queue:
        """Return a queue by name: to add jobs of any name, to look at it, to operate it.

        Parameters:
            name: At most 512 printable characters without `:`.
            existing: It is there already, so that others may have named it: a name that BullMQ
                allows will do, also one with control characters.

        Raises:
            InvalidOptionError: A queue cannot have this name.
        """
        check = check_existing_queue_name if existing else check_queue_name
        return Queue(self._producer, check(name), self._registry)

    async def add_requests(self, queue: str, requests: Iterable[Request]) -> list[Job[Any]]:
        """Add jobs that somebody asks for by name, in one transaction up to 2,000 of them.

        Where the app has the task, the payload is checked as a call of the task would be.

        Parameters:
            queue: Where they go.
            requests: Which: name, payload and options of each.

        Raises:
            InvalidOptionError: There can be no such job.
            InvalidPayloadError: A payload is not JSON, or does not fit its task. Nothing was added.
        """
        requests = list(requests)
        for request in requests:
            self._registry.door(queue, request.name)  # refuses names that no worker would run
        find, middleware = self._registry.find, self._enqueue_middleware
        jobs = [
            job_of_request(
                find(queue, request.name),
                queue,
                request,
                middleware,
                self._producer.seal_of(queue, request.name),
            )
            for request in requests
        ]
        answers = await self._producer.add_many(jobs)
        return [Job(self._producer, queue, each.job_id, each.duplicate) for each in answers]

    @property
    def schedules(self) -> Schedules:
        """The schedules of the store: make, list, run, pause, resume and remove them."""
        return Schedules(self._producer, self._registry, self.settings.timezone)

    @property
    def audit(self) -> AuditLog:
        """What people and their programs did, newest first."""
        return AuditLog(self._store.get)

    @cached_property
    def alerts(self) -> Alerts:
        """What is wrong with the queues: list it, mute it, try the channels."""
        from toril.alerts.handle import Alerts

        return Alerts(self._store.get, self._producer.operations, self._alert_setup)

    @cached_property
    def outbox(self) -> Outbox:
        """The outbox of the app: relay it, look at what waits in it or was refused.

        Raises:
            InvalidOptionError: The app was not told of a database that has one.
        """
        place = self._outbox_place
        if place is None:
            raise InvalidOptionError(
                "the app has no outbox: say in which database it is, App(outbox=...) or"
                " TORIL_OUTBOX"
            )
        from toril.outbox.handle import Outbox

        return Outbox(lambda: self._open_outbox(place), self._store.get)

    def use_outbox(self, place: str | object) -> None:
        """Take another database as the outbox, in place of what `App(outbox=...)` says.

        Parameters:
            place: As of `App`.
        """
        self._outbox_place = place
        self.__dict__.pop("outbox", None)

    def _open_outbox(self, place: object) -> OutboxDatabase:
        """Return the database of the outbox. A framework may know it by another name."""
        try:
            from toril.outbox.engines import open_database
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in ("sqlalchemy", "greenlet"):
                raise
            from toril.core.extras import missing_extra

            raise missing_extra("an outbox needs SQLAlchemy", "outbox") from None
        return open_database(cast("Any", place))

    @cached_property
    def _row_writer(self) -> RowWriter:
        from toril.outbox.writer import OutboxWriter

        return OutboxWriter(self._clock or SystemClock(), self._wake_relays, lambda: self._tracer)

    def _wake_relays(self) -> None:
        """Have the relays of this process look, if there are any."""
        if self._outbox_place is not None:
            self.outbox.wake()

    def operating(
        self, verb: str, queue: str | None = None, job_id: str | None = None, **arguments: Any
    ) -> AbstractAsyncContextManager[Operation]:
        """Tell of an operation that is none of this library's own methods, once it is done.

        The `with` block does it: `async with app.operating("keys.add", name="deploy"):`. It is
        logged, recorded and told to the hook `operated` like any other; see `acting`.
        """
        return self._producer.operations.doing(verb, queue, job_id, **arguments)

    def dead_letters(self, queue: str = DEAD_LETTER) -> DeadLetterQueue:
        """Return a dead-letter queue: to list its letters, and to bring their jobs back.

        Raises:
            InvalidOptionError: A queue cannot have this name.
        """
        name = check_existing_queue_name(queue)
        return DeadLetterQueue(self._producer, self._registry, name)

    async def queues(self, *, search: bool = False) -> list[QueueInfo]:
        """Return all queues that the store has on its list, by name.

        A file lists all of its queues. On Redis a queue is listed once Toril has added to it,
        worked it, paused it or set a limit of it; any other, once it was searched for.

        Parameters:
            search: On Redis: look through all keys of the server for queues that only BullMQ has
                used, and list them from now on. In small steps, but it takes a while.
        """
        records = await self.backend().counts.queues(search=search)
        return [QueueInfo.from_record(record) for record in records]

    async def workers(self) -> list[WorkerInfo]:
        """Return the workers that are alive, oldest first.

        What each runs is counted now; the rest it said itself, with its last heartbeat.
        """
        backend = self.backend()
        records = await backend.workers.list()
        queues = list(dict.fromkeys(queue for record in records for queue in record.queues))
        running = await backend.counts.running(queues) if queues else {}
        return [WorkerInfo.from_record(one, running=running.get(one.id, 0)) for one in records]

    async def tell_worker(
        self, worker_id: str, wish: Wish, *, concurrency: int | None = None
    ) -> bool:
        """Tell a worker, wherever it runs, what to do. It hears it within 3 s, with its heartbeat.

        Parameters:
            worker_id: `Worker.id`, as `workers` lists it.
            wish: `pause` and `resume`, as `Worker.pause`; `quiet` and `stop`, which are final. What
                supervises a worker that was stopped may start another. `resize`, as
                `Worker.resize`.
            concurrency: Of `resize`: how many jobs it is to run at once, 1 to 100,000.

        Returns:
            Whether there is such a worker. Jobs that are claimed by hand are no worker's: their
            program is told nothing.

        Raises:
            InvalidOptionError: There is no such wish, or its concurrency makes no sense.
        """
        return await self._operator.tell_worker(worker_id, wish, concurrency)

    def tell_worker_sync(
        self, worker_id: str, wish: Wish, *, concurrency: int | None = None
    ) -> bool:
        """`tell_worker` for plain code."""
        return self._producer.run_sync(self.tell_worker(worker_id, wish, concurrency=concurrency))

    async def declare_dead(self, worker_id: str, *, max_stalled: int | None = None) -> int:
        """Say that a worker is known to be dead, and put its jobs back in line at once.

        For whoever sees it die, such as a supervisor; otherwise its silence tells, in 9 s.

        Parameters:
            worker_id: `Worker.id`.
            max_stalled: As in `worker`: how often a job survives this. Default: the settings'.

        Returns:
            How many jobs went back; those of other dead workers, found by the way, included.
        """
        if max_stalled is None:
            max_stalled = self.settings.max_stalled
        return await self._operator.declare_dead(worker_id, max_stalled=max_stalled)

    async def migrate_to(
        self,
        target: StoreAccess,
        *,
        queues: Sequence[str] | None = None,
        force: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> list[QueueMove]:
        """Move queues with all their jobs to the store of another app.

        A queue is paused in both stores meanwhile. At the end it goes on in the target if it was
        not paused before; here it stays paused and empty. A run that was cut short is ended by
        another one: no job is lost, and none is there twice.

        Parameters:
            target: Whose store takes the jobs.
            queues: Which. Default: all.
            force: Although workers serve them, here or there.
            dry_run: Only return what there is to move; the target is not asked.
            progress: Told how many jobs were moved so far.

        Raises:
            InvalidOptionError: There is no such queue, or both apps have the same store.
            WrongStateError: A worker serves one of the queues, or jobs of it run.
            MigrationError: What the stores count at the end does not fit.
        """
        if dry_run:
            from toril.engine.migration import plan

            return await plan(self.backend(), queues)
        there = target.backend()
        return await self._operator.migrate_to(there, queues, force=force, progress=progress)

    async def check(self) -> Health:
        """Look the store over; changes nothing. Its `repairs` are what `repair` would do.

        Raises:
            BackendError: It cannot be looked at; the message says why and what to do.
        """
        from toril.alerts.checkup import busy_findings
        from toril.engine.flow_stuck import flow_findings
        from toril.engine.letter_rules import check_rules
        from toril.engine.schedules.checking import findings as schedule_findings
        from toril.engine.schedules.fitting import unfit, unreadable

        backend = self.backend()
        health = await backend.lifecycle.check()
        if not health.is_whole:  # what is damaged may not be looked at
            return health
        knows = any(True for _ in self._registry)
        schedules = await schedule_findings(
            backend.schedules,
            (lambda one: unfit(one, self._registry)) if knows else unreadable,
        )
        found = [*schedules, *await flow_findings(backend), *await check_rules(backend)]
        found += await busy_findings(backend)
        if self._outbox_place is not None:
            found += await self.outbox.findings()
        return Health([*health.findings, *found], health.repairs)

    async def repair(self, repairs: Sequence[Repair], *, max_stalled: int = 1) -> list[Repair]:
        """Mend what `check` has found.

        Whatever has settled by itself meanwhile, or is held by a worker, is left alone.

        Parameters:
            repairs: `Health.repairs`, or some of them.
            max_stalled: As in `worker`: how often a job may lose its worker before it is failed.

        Returns:
            What was done.

        Raises:
            BackendError: The store went away. What was done until then stays: check again.
        """
        return await self._operator.repair(repairs, max_stalled=max_stalled)

    def run_sync(self, call: Coroutine[Any, Any, T]) -> T:
        """Make any of the asynchronous calls from plain code: `app.run_sync(job.retry())`.

        From any thread; blocks until the call has returned. Warns where an event loop runs.

        Parameters:
            call: One call of this app, or of a queue, job, flow or schedule of it.
        """
        return self._producer.run_sync(call, "run_sync")

    async def close(self) -> None:
        """Let go of the store. Using the app again opens it again."""
        FORKS.notice()
        await self._producer.operations.finish()
        await self._producer.close()
        await self._store.close()

    def close_sync(self) -> None:
        """The same for plain code.

        Raises:
            InvalidOptionError: An event loop runs in this thread: use `await app.close()`.
        """
        if asyncio._get_running_loop() is not None:
            raise InvalidOptionError("close_sync() in asynchronous code: use 'await app.close()'")
        asyncio.run(self.close())
