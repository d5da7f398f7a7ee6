"""The app: holds everything, and is the only place that wires it together.

No globals: two apps in a process never meet.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, ParamSpec, Self, TypeVar

from toril.backends import FileOptions, open_backend
from toril.core.checks import unknown
from toril.core.clock import Clock
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.core.ids import check_queue_name
from toril.core.redact import without_password
from toril.engine.contract import Backend, Health, Repair
from toril.engine.flow_stuck import flow_findings
from toril.engine.flows import Flows
from toril.engine.hooks import Hook, HookName, Hooks
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.middleware import Middleware
from toril.engine.migration import QueueMove, move, plan
from toril.engine.operator import Progress
from toril.engine.options import (
    RateLimit,
)
from toril.engine.producer import Producer
from toril.engine.profiles import Profile
from toril.engine.queue import Queue
from toril.engine.runners.interpreter import NoChildError, check_target, refuse_restart
from toril.engine.runners.processes import ProcessOptions
from toril.engine.runners.references import MAIN
from toril.engine.sweeper import take_back
from toril.engine.worker import Worker, WorkerOptions
from toril.observability.prometheus import exposition, metrics
from toril.settings import Settings
from toril.tasks.bundle import TaskBundle
from toril.tasks.decorator import TaskMaker
from toril.tasks.registry import Registry
from toril.tasks.task import Task

_APPS: weakref.WeakSet[App] = weakref.WeakSet()
_PARENTS: list[Backend] = []
"""Stores that a fork has copied. They are the parent's: never used here, and never let go of."""

P = ParamSpec("P")
R = TypeVar("R")
H = TypeVar("H", bound=Hook)
M = TypeVar("M", bound=Middleware)


class App(TaskMaker):
    """Tasks, and the store where their jobs live."""

    def __init__(
        self,
        url: str | object | None = None,
        *,
        durability: Literal["full", "normal"] | None = None,
        clock: Clock | None = None,
        settings: Settings | None = None,
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

        Raises:
            InvalidSettingError: The environment or the file holds nonsense.
        """
        refuse_restart()
        self.settings = settings or Settings.load()
        self.url: str | object = self.settings.url if url is None or url == "" else url
        self.durability = durability
        self._clock = clock
        self._create = True
        self._registry = Registry()
        self._hooks = Hooks()
        self._middleware: list[Middleware] = []
        self._lock = threading.Lock()
        self._backend: Backend | None = None
        self._pid = os.getpid()
        self._producer = Producer(self.backend, self.url)
        self.flows = Flows(self._producer)
        """Trees of jobs in which a parent waits for its children."""
        _APPS.add(self)

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
        if self._backend is None or self._pid != os.getpid():
            _refuse_while_main_is_imported()
            with self._lock:
                self._notice_fork()
                if self._backend is None:
                    self._backend = open_backend(
                        self.url,
                        durability=self.durability,
                        clock=self._clock,
                        create=self._create,
                        otherwise=FileOptions(
                            durability=self.settings.durability, share=self.settings.share
                        ),
                        answer_timeout_s=self.settings.answer_timeout_s,
                    )
        return self._backend

    def _notice_fork(self) -> None:
        """Leave the parent's store to the parent: its threads are not here. Ours is opened anew."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._producer.forget()
            if self._backend is None or "shared_processes" not in self._backend.capabilities:
                return  # a store in memory stays its parent's, and says so when it is used
            # Not closed: that would be at the expense of the parent's connections.
            _PARENTS.append(self._backend)
            self._backend = None

    def existing(self) -> Self:
        """Return this app, set to refuse a store that is not there yet: for those who only look."""
        self._create = False
        return self

    def include(self, bundle: TaskBundle) -> None:
        """Register the tasks of a bundle."""
        for task in bundle.tasks:
            self._add(task)

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

    def queue(self, name: str) -> Queue:
        """Return a queue by name: to add jobs of any name, to look at it, to operate it.

        Raises:
            InvalidOptionError: A queue cannot have this name.
        """
        return Queue(self._producer, check_queue_name(name))

    async def queues(self) -> list[QueueInfo]:
        """Return all queues that the store knows, by name."""
        return [QueueInfo.from_record(record) for record in await self.backend().counts.queues()]

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
        await self.backend().workers.declare_dead(worker_id)
        if max_stalled is None:
            max_stalled = self.settings.max_stalled
        return await take_back(self.backend().dispatch, max_stalled=max_stalled)

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
        return await move(self.backend(), target.backend(), queues, force=force, progress=progress)

    async def check(self) -> Health:
        """Look the store over; changes nothing. Its `repairs` are what `repair` would do.

        Raises:
            BackendError: It cannot be looked at; the message says why and what to do.
        """
        health = await self.backend().lifecycle.check()
        if not health.ok:  # what is damaged may not be looked at
            return health
        return Health([*health.findings, *await flow_findings(self.backend())], health.repairs)

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
        return await self.backend().lifecycle.repair(repairs, max_stalled=max_stalled)

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
        _refuse_while_main_is_imported()
        if isinstance(queues, str):
            raise InvalidOptionError(f"queues={queues!r}: expected a list, [{queues!r}]")
        chosen = self.settings.profile if profile is None else _profile(profile)
        figures = (chosen or Profile.MEDIUM).settings
        weights = dict(queues) if isinstance(queues, Mapping) else None
        names: Iterable[str] = self._registry.queues(chosen) if queues is None else queues
        names = list(dict.fromkeys(names))
        if not names:
            what = "no task" if chosen is None else f"no task with the profile {str(chosen)!r}"
            raise InvalidOptionError(f"queues={queues!r}: the app has {what}; name its queues")
        for task in self._registry:
            if task.run_in == "process" and task.queue in names:
                _check_process(task)
        if concurrency is None:
            concurrency = self.settings.concurrency or figures.concurrency
        default_lease_s = 30.0 if chosen is None else figures.lease_s
        shutdown_s = self.settings.shutdown_s if shutdown is None else seconds(shutdown, "shutdown")
        options = WorkerOptions(
            queues=names,
            weights=weights,
            concurrency=concurrency,
            lease_s=default_lease_s if lease is None else seconds(lease, "lease"),
            max_stalled=self.settings.max_stalled if max_stalled is None else max_stalled,
            sweep_s=figures.sweep_s if sweep is None else seconds(sweep, "sweep"),
            shutdown_s=shutdown_s,
            stale_after_s=seconds(stale_after, "stale_after"),
            rate=rate,
            processes=processes or ProcessOptions(),
        )
        return Worker(
            self.backend(),
            self._registry,
            options,
            hooks=self._hooks,
            middleware=self._middleware,
        )

    async def close(self) -> None:
        """Let go of the store. Using the app again opens it again."""
        with self._lock:
            self._notice_fork()
        await self._producer.close()
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.lifecycle.close()

    def close_sync(self) -> None:
        """The same for plain code.

        Raises:
            InvalidOptionError: An event loop runs in this thread: use `await app.close()`.
        """
        if asyncio._get_running_loop() is not None:
            raise InvalidOptionError("close_sync() in asynchronous code: use 'await app.close()'")
        asyncio.run(self.close())

    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        bound = task.bind(self._producer)
        self._registry.add(bound)
        return bound


def _renew_locks() -> None:
    """In a forked child: the thread that held one during the fork is not here to release it."""
    for app in list(_APPS):
        app._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)


def _refuse_while_main_is_imported() -> None:
    """Keep a script that has no guard from running once more in each of its child processes."""
    if MAIN.loading:
        raise InvalidOptionError(
            "a child process imports the main script to find its task, and the script goes to work"
            ' again: put what it does under if __name__ == "__main__":'
        )


def _check_process(task: Task[Any, Any]) -> None:
    """Refuse a task that no child process of this program could run."""
    try:
        check_target(task.target())
    except NoChildError as error:
        raise InvalidOptionError(f"task {task.name!r}: {error}") from None


def _profile(profile: Profile | str) -> Profile | None:
    words = [*Profile, "all"]
    if profile not in words:
        raise InvalidOptionError(f"profile={str(profile)!r}: {unknown('profile', profile, words)}")
    return None if profile == "all" else Profile(profile)
