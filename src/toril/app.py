"""The app: owns the tasks and the hooks, and wires them and the store together.

There is no global state: two apps in a process share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal, ParamSpec, Self, TypeVar

from toril.backends import FileOptions, RedisCredentials, open_backend
from toril.core.checks import unknown
from toril.core.clock import Clock
from toril.core.errors import InvalidOptionError
from toril.core.redact import without_password
from toril.engine.contract import Backend
from toril.engine.drafts import EnqueueMiddleware, check_middleware
from toril.engine.hooks import Hook, HookName
from toril.engine.middleware import Middleware
from toril.engine.options import RateLimit
from toril.engine.profiles import Profile
from toril.engine.runners.interpreter import refuse_restart
from toril.engine.runners.processes import ProcessOptions
from toril.engine.schedules.options import ScheduleOptions
from toril.engine.worker import Worker
from toril.settings import Settings
from toril.store_access import StoreAccess
from toril.tasks.bundle import TaskBundle
from toril.tasks.decorator import TaskMaker
from toril.tasks.schedules import Scheduled, code_of, template_of
from toril.tasks.task import Task
from toril.worker_options import refuse_while_main_is_imported, worker_options

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Hook)
M = TypeVar("M", bound=Middleware)
E = TypeVar("E", bound=EnqueueMiddleware)


class App(TaskMaker, StoreAccess):
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
        settings = settings or Settings.load()
        self.url: str | object = settings.url if url is None or url == "" else url
        self.durability = durability
        self._redis_credentials = redis_credentials
        self._clock = clock
        self._create = True
        self._scheduled: dict[tuple[str, str], Scheduled] = {}
        self._middleware: list[Middleware] = []
        super().__init__(self.url, settings, self._open_store)

    def __repr__(self) -> str:
        where = without_password(self.url) if isinstance(self.url, str) else self.url
        return f"App({where!r})"

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
        self._discover()
        return list(self._registry)

    def find_task(self, name: str, queue: str | None = None) -> Task[Any, Any]:
        """Return the task of a name (and queue).

        Raises:
            InvalidOptionError: There is none; the message names the nearest.
        """
        self._discover()
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
        self._discover()
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

    def _discover(self) -> None:
        """Import what has tasks, in a framework that says where these are. Called often."""

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
