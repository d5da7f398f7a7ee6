"""The app: owns the tasks and the hooks, and wires them and the store together.

There is no global state: two apps in a process share nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast, overload

from toril.app_workers import WorkerMaker
from toril.backends import FileOptions, RedisCredentials, check_prefix, open_backend, with_prefix
from toril.core.checks import require, unknown
from toril.core.clock import Clock
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.core.foreign_words import answers
from toril.core.redact import without_password
from toril.engine.contract import Backend
from toril.engine.drafts import EnqueueMiddleware, check_middleware
from toril.engine.hooks import Hook, HookName
from toril.engine.middleware import Middleware
from toril.engine.runners.interpreter import refuse_restart
from toril.engine.schedules.options import ScheduleOptions
from toril.engine.tracing import Tracer
from toril.engine.unknown_tasks import PATIENCE_S, require_policy
from toril.settings import Settings
from toril.tasks.bindings import Binding
from toril.tasks.bundle import TaskBundle, refuse_inclusion
from toril.tasks.decorator import TaskMaker
from toril.tasks.foreign_words import APP_WORDS
from toril.tasks.life_cycle import STOP_TIMEOUT_S, AppLifeCycle
from toril.tasks.schedules import Scheduled, template_of
from toril.tasks.task import Task
from toril.worker_options import refuse_while_main_is_imported

if TYPE_CHECKING:
    from toril.alerts.options import AlertOptions
    from toril.fallback.options import Fallback

T = TypeVar("T", bound=Task[..., Any])
"""A task as it is: of one whose parameters mypy does not know it would make a `Task[Never, R]`."""
H = TypeVar("H", bound=Hook)
M = TypeVar("M", bound=Middleware)
E = TypeVar("E", bound=EnqueueMiddleware)
F = TypeVar("F", bound=Callable[..., Any])


@answers(APP_WORDS)
class App(TaskMaker, WorkerMaker):
    """Tasks, and the store where their jobs live."""

    def __init__(
        self,
        url: str | object | None = None,
        *,
        durability: Literal["full", "normal"] | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
        redis_credentials: RedisCredentials | None = None,
        prefix: str | None = None,
        version: str | None = None,
        unknown_tasks: Literal["wait", "fail"] | None = None,
        unknown_task_patience: float | timedelta = PATIENCE_S,
        lifespan: Callable[[Any], AbstractAsyncContextManager[object]] | None = None,
        stop_timeout: float | timedelta = STOP_TIMEOUT_S,
        alerts: AlertOptions | None = None,
        outbox: str | object | None = None,
        fallback: str | Fallback | None = None,
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
            prefix: With what all keys on a Redis server begin, such as for a client of redis-py,
                which cannot say it. Default: what the URL says, else `bull`, as in BullMQ.
            version: Of your code, such as a tag or a commit: for log lines and failure reasons.
            unknown_tasks: What its workers do with jobs that they have no task for. `wait`: put
                them back, for a worker that has it, with pauses that grow from 1 s to 10 minutes.
                `fail`: fail them at once. Default: `wait`; but on a queue whose jobs are all bound
                by name (`bind`), `fail`.
            unknown_task_patience: How long such a job waits in all before it fails, in seconds or
                as a timedelta. Default: a day.
            lifespan: A function that is given the app and returns an asynchronous context manager:
                entered before the first job of a worker process, and of each child process, left
                after the last. What it yields is provided by its type. See `on_start`.
            stop_timeout: How long it, or the functions of `on_stop`, may take to stop, in seconds.
            alerts: What its workers watch for, and by which channels people are told.
            outbox: Your own database, in which `Task.enqueue_in` writes jobs: its workers relay
                them. A URL of SQLAlchemy, or an engine. Default: `TORIL_OUTBOX`, else none.
            fallback: Where jobs go while the Redis server is away: a file, as a URL or as
                `Fallback`. Default: `TORIL_FALLBACK_URL`, else nowhere: adding fails meanwhile.

        Raises:
            InvalidOptionError: An option makes no sense, or a prefix is given for a file.
            InvalidSettingError: The environment or the file holds nonsense.
        """
        refuse_restart()
        settings = settings or Settings.load()
        self.url: str | object = settings.url if url is None or url == "" else url
        if prefix is not None:
            check_prefix(prefix)
            if isinstance(self.url, str):  # so that the URL tells stores apart
                self.url, prefix = with_prefix(self.url, prefix), None
        self._prefix = prefix
        self.durability = durability
        self._redis_credentials = redis_credentials
        self._clock = clock
        if version is not None:
            require(isinstance(version, str) and version != "", "version", version, "a text")
        self.version = version
        self._unknown_tasks: Literal["wait", "fail"] = (
            "wait" if unknown_tasks is None else unknown_tasks
        )
        self._unknown_task_patience_s = seconds(unknown_task_patience, "unknown_task_patience")
        require_policy(self._unknown_tasks, self._unknown_task_patience_s)
        self._create = True
        self._scheduled: dict[tuple[str, str], Scheduled] = {}
        self._middleware: list[Middleware] = []
        self._tracer: Tracer | None = None
        super().__init__(self.url, settings, self._open_store)
        if outbox is not None:
            self._outbox_place = outbox
        self._registry.closes = unknown_tasks != "wait"
        self._life_cycle = self._registry.life_cycle = AppLifeCycle(
            self,
            self._registry.provisions,
            lifespan=lifespan,
            stop_timeout_s=seconds(stop_timeout, "stop_timeout"),
        )

        if alerts is not None:
            self._watch_for(alerts)
        self._use_fallback(self.url, fallback)

    def __repr__(self) -> str:
        where = without_password(self.url) if isinstance(self.url, str) else self.url
        return f"App({where!r})"

    def _open_store(self) -> Backend:
        refuse_while_main_is_imported()
        files = FileOptions(durability=self.settings.durability, share=self.settings.share)
        backend = open_backend(
            self.url,
            durability=self.durability,
            clock=self._clock,
            create=self._create,
            otherwise=files,
            answer_timeout_s=self.settings.answer_timeout_s,
            redis_credentials=self._redis_credentials,
            prefix=self._prefix,
        )
        if self._fallback is None or not self._create:
            return backend
        return self._join(backend, self._fallback, files=files, clock=self._clock)

    def _watch_for(self, options: AlertOptions) -> None:
        from toril.alerts.setup import AlertSetup  # few apps have alerts

        self._alert_setup = AlertSetup(
            options,
            self._store.get,
            self._hooks,
            masker=lambda: self.masker,
            letter_queues=self._letter_queues,
            smtp_url=self.settings.smtp_url,
            mail_from=self.settings.mail_from,
            egress_allow=self.settings.egress_allow,
        )

    def existing(self) -> Self:
        """Return this app, set to refuse a store that is not there yet: for those who only look."""
        self._create = False
        return self

    @overload
    def include(self, bundle: TaskBundle) -> None: ...
    @overload
    def include(self, bundle: T) -> T: ...
    def include(self, bundle: TaskBundle | Task[Any, Any]) -> Task[Any, Any] | None:
        """Register the tasks of a bundle, with their bindings and schedules; or one task.

        Returns:
            Of one task: it as this app's, ready to enqueue. The schedules above it come with its
            bundle only.

        Raises:
            InvalidOptionError: It is neither, or a queue has a task of that name already.
        """
        if isinstance(bundle, Task):
            known = self._registry.find(bundle.queue, bundle.name)
            if known is not None and known.function is bundle.function and not known.binding:
                return known
            return self._add(bundle)
        if not isinstance(bundle, TaskBundle):
            refuse_inclusion(bundle)
        for task in bundle.tasks:
            self._add(task)
        for binding in bundle.bindings:
            self._bind(binding)
        for scheduled in bundle.schedules:
            self._keep(scheduled)
        return None

    def bound(self, task: T) -> T:
        """Return a bundle's task as this app's, ready to enqueue.

        Raises:
            InvalidOptionError: Its bundle was not included.
        """
        found = self._registry.find(task.queue, task.name)
        if found is None or found.function is not task.function or found.binding:
            raise InvalidOptionError(
                f"task={task!r}: the app has none such; include its bundle, or it: app.include(...)"
            )
        return cast("T", found)

    def adding(self, task: T) -> T:
        """Return a task as this app's, ready to enqueue, without registering it.

        The workers of this app do not run its jobs: for a process that only adds them.
        """
        return cast("T", task.bind(self._producer))

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

    def on_start(self, function: F) -> F:
        """Call a function before the first job of each worker process, and of each child process.

        `@app.on_start`; several run in the order in which they were added. What a function returns
        is provided to tasks by the type that it says it returns, else by its own. Its parameters,
        if any, are provided as well: `pool: Pool = provided(Pool)`. Async or plain: a plain one
        blocks the event loop. What it raises ends the worker with `WorkerStartError`.

        Raises:
            InvalidOptionError: It has other parameters.
        """
        self._life_cycle.on_start(function)
        return function

    def on_stop(self, function: F) -> F:
        """Call a function after the last job of such a process: `@app.on_stop`.

        Several run in the opposite order, and what one raises is logged. A function whose
        parameters are not provided, as their start has failed, is passed over. Child processes that
        are killed call none.

        Raises:
            InvalidOptionError: As `on_start`.
        """
        self._life_cycle.on_stop(function)
        return function

    def on(self, name: HookName) -> Callable[[H], H]:
        """Call a function when this app's workers see something: `@app.on("failed")`.

        `operated` is for what this app's own calls do to jobs and queues; see `acting`.

        Raises:
            InvalidOptionError: There is no such event.
        """
        if callable(name):
            raise InvalidOptionError('@app.on: expected the name of an event: @app.on("failed")')

        def decorate(hook: H) -> H:
            self._hooks.on(name, hook)
            return hook

        return decorate

    def off(self, name: HookName, hook: Hook) -> bool:
        """Call a function of `on` no more: `app.off("failed", report)`. Calls that go on, go on.

        Returns:
            Whether it was called so far. One that was given twice is called once less.

        Raises:
            InvalidOptionError: There is no such event.
        """
        return self._hooks.off(name, hook)

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

    def trace(self, provider: object | None = None) -> None:
        """Trace jobs by OpenTelemetry, from who adds them to the code that runs for them.

        Call it before jobs are added and workers are made. Spans go where the program has set up
        OpenTelemetry's SDK; without, nothing is traced.

        Parameters:
            provider: The `TracerProvider` that makes the spans. Default: the global one.

        Raises:
            MissingExtraError: opentelemetry-api is not installed.
            InvalidOptionError: `provider` is none.
        """
        try:
            from toril.observability.traced_store import TracedStore
            from toril.observability.tracing import Tracing
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "opentelemetry":
                raise
            from toril.core.extras import missing_extra

            raise missing_extra("traces need opentelemetry-api", "otel") from None
        good = provider is None or hasattr(provider, "get_tracer")
        require(good, "provider", provider, "a TracerProvider of OpenTelemetry")
        tracing = Tracing(cast("Any", provider))
        self._tracer = tracing
        self._producer.backend = TracedStore(self._store.get, tracing).get

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
        if bound.seals is not None:
            self._producer.sealing = self._seal_of
        return bound

    def _bind(self, binding: Binding) -> None:
        for task in binding.tasks():
            self._add(task)
        self._producer.door = self._registry.door

    def _seal_of(self, queue: str, name: str) -> Callable[[str], str] | None:
        task = self._registry.find(queue, name)
        return None if task is None or task.seals is None else task.seals.seal
