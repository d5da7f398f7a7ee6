"""The app: owns the tasks, the hooks and the store, and wires them together.

There is no global state: two apps in a process share nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from toril.backends import FileOptions, RedisCredentials, open_backend
from toril.backends.forks import FORKS
from toril.backends.lazy import LazyStore
from toril.core.checks import unknown
from toril.core.clock import Clock
from toril.core.errors import InvalidOptionError
from toril.core.ids import check_existing_queue_name, check_queue_name
from toril.core.redact import without_password
from toril.engine.contract import Backend, Health, Repair
from toril.engine.dead_letters import DEAD_LETTER, DeadLetterQueue
from toril.engine.drafts import EnqueueMiddleware, check_middleware
from toril.engine.flow_stuck import flow_findings
from toril.engine.flows import Flows
from toril.engine.hooks import Hook, HookName, Hooks
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.letter_rules import check_rules
from toril.engine.middleware import Middleware
from toril.engine.migration import QueueMove, plan
from toril.engine.operator import Progress
from toril.engine.options import RateLimit
from toril.engine.producer import Producer
from toril.engine.profiles import Profile
from toril.engine.queue import Queue
from toril.engine.runners.interpreter import refuse_restart
from toril.engine.runners.processes import ProcessOptions
from toril.engine.schedules.checking import findings as schedule_findings
from toril.engine.schedules.fitting import unfit, unreadable
from toril.engine.schedules.options import ScheduleOptions
from toril.engine.store_operator import StoreOperator
from toril.engine.worker import Worker
from toril.observability.prometheus import exposition, metrics
from toril.settings import Settings
from toril.tasks.bundle import TaskBundle
from toril.tasks.decorator import TaskMaker
from toril.tasks.registry import Registry
from toril.tasks.schedules import Scheduled, Schedules, code_of, template_of
from toril.tasks.task import Task
from toril.worker_options import refuse_while_main_is_imported, worker_options

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Hook)
M = TypeVar("M", bound=Middleware)
E = TypeVar("E", bound=EnqueueMiddleware)


class App(TaskMaker):
    """Tasks, and the store where their jobs live."""

    def __init__(
        self,
        url: str | object | None = None,
        *,
        durability: Literal["full", "normal"] | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        redis_credentials: RedisCredentials | None = None,
    ) -> None:
        """Make an app. The store is opened when it is first needed.

        Parameters:
            url: Where jobs live: `sqlite:///path`, `sqlite://:memory:` or a path; `redis://host`
                and its kin (`open_backend` has all); or a client of redis-py, of which the settings
                are taken, not the connections. Default: `TORIL_URL`, `toril.toml`, or `toril.db` in
                the working directory.
            durability: `full`: what was acknowledged survives a loss of power. `normal`: it
                survives the end of the process. Default: what the URL says
                (`?durability=normal`), else `TORIL_DURABILITY` or `toril.toml`, else `full`.
            clock: What time it is. Default: the host's. Tests pass one that they move.
            settings: In place of the environment and `toril.toml`.
            redis_credentials: For tokens that expire. Called for each new connection to a Redis
                server. It returns a password, or a user and a password; it may be async, and a
                plain one runs in a thread. Default: what the URL says.

        Raises:
            InvalidSettingError: The environment or the file holds nonsense.
        """
        refuse_restart()
        self.settings = settings or Settings.load()
        self.url: str | object = self.settings.url if url is None or url == "" else url
        self.durability = durability
        self._redis_credentials = redis_credentials
        self._clock = clock
        self._create = True
        self._registry = Registry()
        self._scheduled: dict[tuple[str, str], Scheduled] = {}
        self._hooks = Hooks()
        self._middleware: list[Middleware] = []
        self._enqueue_middleware: list[EnqueueMiddleware] = []
        self._store = LazyStore(self._open_store)
        self._producer = Producer(
            self._store.get, self.url, self._hooks, middleware=self._enqueue_middleware
        )
        self.flows = Flows(self._producer)
        """Trees of jobs in which a parent waits for its children."""
        self._operator = StoreOperator(self._producer)
        FORKS.tell(self._producer)

    def __repr__(self) -> str:
        where = without_password(self.url) if isinstance(self.url, str) else self.url
        return f"App({where!r})"

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

    def _open_store(self) -> Backend:
        refuse_while_main_is_imported()
        return open_backend(
            self.url,
            durability=self.durability,
            clock=self._clock,
            create=self._create,
            otherwise=FileOptions(durability=self.settings.durability, share=self.settings.share),
            answer_timeout_s=self.settings.answer_timeout_s,
            redis_credentials=self._redis_credentials,
        )

    def existing(self) -> Self:
        """Return this app, set to refuse a store that is not there yet: for those who only look."""
        self._create = False
        return self

    def include(self, bundle: TaskBundle) -> None:
        """Register the tasks of a bundle."""
        for task in bundle.tasks:
            self._add(task)
        for scheduled in bundle.schedules:
            self._keep(scheduled)

    def bound(self, task: Task[P, R]) -> Task[P, R]:
        """Return a bundle's task as this app's, ready to enqueue.

        Raises:
            InvalidOptionError: Its bundle was not included.
        """
        found = self._registry.find(task.queue, task.name)
        if found is None or found.function is not task.function:
            raise InvalidOptionError(f"task={task!r}: the app has none such; include its bundle")
        return found

    def tasks(self) -> list[Task[Any, Any]]:
        """Return the registered tasks."""
        return list(self._registry)

    def find_task(self, name: str, queue: str | None = None) -> Task[Any, Any]:
        """Return the task of a name (and queue).

        Raises:
            InvalidOptionError: There is none; the message names the nearest.
        """
        task = self._registry.named(name, queue)
        if task is None:
            known = [task.name for task in self._registry]
            raise InvalidOptionError(unknown("task", name, known))
        return task

    def provide(self, value: object, kind: type | None = None) -> None:
        """Give a value to the tasks whose parameters ask for its type; see `provided`.

        Parameters:
            value: What to give. For tasks in processes it must be picklable.
            kind: The type that they ask for. Default: the value's own.
        """
        self._registry.provisions.add(value, kind)

    def on(self, name: HookName) -> Callable[[H], H]:
        """Call a function when this app's workers see something: `@app.on("failed")`.

        `operated` is for what this app's own calls do to jobs and queues; see `acting`.

        Raises:
            InvalidOptionError: There is no such event.
        """

        def decorate(hook: H) -> H:
            self._hooks.on(name, hook)
            return hook

        return decorate

    def middleware(self, middleware: M) -> M:
        """Run code around every attempt: `@app.middleware`. The first one is the outermost."""
        self._middleware.append(middleware)
        return middleware

    def enqueue_middleware(self, middleware: E) -> E:
        """Run code on each new job before it is checked and stored: `@app.enqueue_middleware`.

        It is a plain function of one `JobDraft`, which it may change. Several run in the order in
        which they were added.

        Raises:
            InvalidOptionError: It is no plain function.
        """
        check_middleware(middleware)
        self._enqueue_middleware.append(middleware)
        return middleware

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
        return Queue(self._producer, check(name))

    @property
    def schedules(self) -> Schedules:
        """The schedules of the store: make, list, run, pause, resume and remove them."""
        return Schedules(self._producer, self._registry, self.settings.timezone)

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
        """Return the workers that are alive, oldest first."""
        return [WorkerInfo.from_record(record) for record in await self.backend().workers.list()]

    async def prometheus(self) -> str:
        """Return the figures of all queues as text for Prometheus, such as for a web page of it.

        It ends as the format wants. Its content type is `text/plain; version=0.0.4`.
        """
        queues, workers = await asyncio.gather(self.queues(), self.workers())
        return exposition(metrics(queues, workers))

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
        target: App,
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
            return await plan(self.backend(), queues)
        there = target.backend()
        return await self._operator.migrate_to(there, queues, force=force, progress=progress)

    async def check(self) -> Health:
        """Look the store over; changes nothing. Its `repairs` are what `repair` would do.

        Raises:
            BackendError: It cannot be looked at; the message says why and what to do.
        """
        backend = self.backend()
        health = await backend.lifecycle.check()
        if not health.ok:  # what is damaged may not be looked at
            return health
        knows = any(True for _ in self._registry)
        schedules = await schedule_findings(
            backend.schedules,
            (lambda one: unfit(one, self._registry)) if knows else unreadable,
        )
        found = [*schedules, *await flow_findings(backend), *await check_rules(backend)]
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

    def worker(
        self,
        *,
        queues: Sequence[str] | Mapping[str, int] | None = None,
        concurrency: int | None = None,
        profile: Profile | str | None = None,
        lease: float | timedelta | None = None,
        max_stalled: int | None = None,
        sweep: float | timedelta | None = None,
        shutdown: float | timedelta | None = None,
        stale_after: float | timedelta = 60.0,
        rate: RateLimit | None = None,
        processes: ProcessOptions | None = None,
    ) -> Worker:
        """Return a worker; `await worker.run()` works until it is stopped.

        Parameters:
            queues: Which, in the order in which they are asked; or a mapping to weights, which are
                shares of the slots. Default: all queues that have tasks.
            concurrency: Jobs at once. Default: the profile's, else 10.
            profile: Only the queues of this profile, with its figures.
            lease: How long a claim holds without renewal. Default: the profile's, else 30 s.
            max_stalled: How often a job may lose its worker, in one attempt that was begun, before
                it is failed. Default: the settings', else 1.
            sweep: Longest time between two looks for jobs of dead workers. Default: the profile's,
                else 30 s.
            shutdown: How long `stop()` lets jobs go on. Default: 25 s.
            stale_after: If the store does not answer for so long, the worker ends with its error.
            rate: At most so many starts in a window, per queue, over all workers with a limit.
            processes: How child processes are recycled.

        Raises:
            InvalidOptionError: An option makes no sense, there is no queue to work on, or a task of
                them is for a process and this program can have none.
        """
        refuse_while_main_is_imported()
        options = worker_options(
            self._registry,
            self.settings,
            queues=queues,
            concurrency=concurrency,
            profile=profile,
            lease=lease,
            max_stalled=max_stalled,
            sweep=sweep,
            shutdown=shutdown,
            stale_after=stale_after,
            rate=rate,
            processes=processes,
        )
        return Worker(
            self.backend(),
            self._registry,
            options,
            hooks=self._hooks,
            middleware=self._middleware,
            enqueue_middleware=self._enqueue_middleware,
            declarations=[
                scheduled.declaration(self.settings.timezone)
                for scheduled in self._scheduled.values()
            ],
            code=frozenset(map(code_of, self._registry)),
            timezone=self.settings.timezone,
        )

    async def close(self) -> None:
        """Let go of the store. Using the app again opens it again."""
        FORKS.notice()
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

    def _declare(
        self,
        schedule_id: str,
        task: Task[Any, Any],
        payload: Mapping[str, Any] | None,
        options: ScheduleOptions,
    ) -> None:
        self._keep(Scheduled(schedule_id, task, template_of(task, payload), options))

    def _keep(self, scheduled: Scheduled) -> None:
        key = (scheduled.template.queue, scheduled.id)
        if key in self._scheduled:
            raise InvalidOptionError(
                f"id={scheduled.id!r}: queue {key[0]!r} has a schedule of this id already; give one"
                " of them another: @app.schedule(..., id=...)"
            )
        self._scheduled[key] = scheduled

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        bound = task.bind(self._producer)
        self._registry.add(bound)
        return bound
