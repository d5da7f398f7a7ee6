"""`@app.task()`: turns its keywords into `TaskOptions` and the function into a `Task`."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from toril.core.checks import require
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.engine.context import Context
from toril.engine.options import (
    KEEP_COMPLETED,
    KEEP_FAILED,
    JobOptions,
    KeepPolicy,
    RateLimit,
    RetryPolicy,
    RunIn,
)
from toril.engine.profiles import Profile
from toril.engine.schedules.options import ScheduleOptions, check_schedule_id
from toril.engine.schedules.turn import MissedPolicy
from toril.tasks.adapters import Adapter
from toril.tasks.bindings import Binding, binding_of
from toril.tasks.foreign_words import refuse_function, refuse_options
from toril.tasks.options import TaskOptions
from toril.tasks.signature import Rename
from toril.tasks.task import Task

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Task[..., Any])


class TaskDecorator(Protocol):
    """Turns a function into a task whose `enqueue` has the function's own parameters.

    The `Context`, if the function takes one, is not among them.

    Where a parameter's type holds `Any`, mypy cannot tell which of these is meant, and knows a
    `Task[Any, Any]`, unless the function is a plain one without a `Context`. Pyright can tell.
    """

    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], Awaitable[R]]) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[R]]) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R]) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> Task[P, R]: ...


class TaskMaker(ABC):
    """Has `task()`. An app registers what it makes; a bundle keeps it for apps to come."""

    @abstractmethod
    def _add(self, task: Task[Any, Any]) -> Task[Any, Any]:
        """Take a new task and return it as its owner has it."""

    @abstractmethod
    def _bind(self, binding: Binding) -> None:
        """Take a binding."""

    @abstractmethod
    def _declare(
        self,
        schedule_id: str,
        task: Task[Any, Any],
        payload: Mapping[str, Any] | None,
        options: ScheduleOptions,
    ) -> None:
        """Keep a schedule that was declared above a task."""

    def schedule(
        self,
        cron: str | None = None,
        *,
        id: str | None = None,
        payload: Mapping[str, Any] | None = None,
        every: float | timedelta | None = None,
        timezone: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        offset: float | timedelta | None = None,
        immediately: bool = False,
        jitter: float | timedelta = 0.0,
        missed: MissedPolicy = "one",
    ) -> Callable[[T], T]:
        """Run a task by a schedule: `@app.schedule("0 6 * * *")` above `@app.task()`.

        Workers bring it to the store when they start, and remove it some minutes after the last
        worker whose code has it has ended. Several may stand above one task, each with an id.

        Parameters:
            cron: Five fields, six with seconds first, or `@daily` and its kin.
            id: What it is called in its queue. Default: the task's name.
            payload: Each job's. Default: none, so the task's own defaults.
            every: A span in place of `cron`: seconds, or a timedelta.
            timezone: Whose local time `cron` means. Default: the settings', else UTC.
            start: No job before this moment.
            end: No job after it.
            limit: Jobs in all.
            offset: With `every`: so long after each full span, counted from 1970.
            immediately: The first job is due as soon as there is a worker.
            jitter: Put each job off by up to so long.
            missed: What becomes of slots that no worker took in time: `skip`, `one` or `all`.

        Raises:
            InvalidOptionError: An option makes no sense; the message says which.
            InvalidPayloadError: The payload does not fit the task.
        """
        if callable(cron):
            raise InvalidOptionError(
                "@app.schedule: expected when: @app.schedule('0 6 * * *') above @app.task"
            )
        options = ScheduleOptions(
            cron=cron, every=every, timezone=timezone, start=start, end=end, limit=limit,
            offset=offset, immediately=immediately, jitter=jitter, missed=missed,
        )  # fmt: skip

        def decorate(task: T) -> T:
            require(isinstance(task, Task), "task", task, "a task: put it above @app.task")
            for path in task.options.sealed:  # the code itself would show them
                name = path.split(".")[0]
                require(name not in (payload or {}), "payload", name, _NOT_SEALED)
            self._declare(check_schedule_id(id or task.name), task, payload, options)
            return task

        return decorate

    @overload
    def task(self, function: Callable[Concatenate[Context, P], Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[Concatenate[Context, P], R], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = ...,
        queue: str = ...,
        run_in: RunIn | None = ...,
        retry: RetryPolicy | None = ...,
        timeout: float | timedelta | None = ...,
        keep_completed: KeepPolicy = ...,
        keep_failed: KeepPolicy = ...,
        dead_letter: str | None = ...,
        max_payload_bytes: int = ...,
        max_result_bytes: int = ...,
        profile: Profile | str | None = ...,
        rename: Rename = ...,
        sealed: Sequence[str] = ...,
        any_name: bool = ...,
    ) -> TaskDecorator: ...

    def task(
        self,
        function: Any = None,
        *,
        name: str | None = None,
        queue: str = "default",
        run_in: RunIn | None = None,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = 3600.0,
        keep_completed: KeepPolicy = KEEP_COMPLETED,
        keep_failed: KeepPolicy = KEEP_FAILED,
        dead_letter: str | None = None,
        max_payload_bytes: int = 256 * 1024,
        max_result_bytes: int = 64 * 1024,
        profile: Profile | str | None = None,
        rename: Rename = None,
        sealed: Sequence[str] = (),
        any_name: bool = False,
        **others: Any,
    ) -> Any:
        """Make a task of a function: `@app.task`, or `@app.task(...)` with options.

        Parameters:
            function: The function, where there are no options.
            name: The name on the wire. Default: the function's.
            queue: Where its jobs wait. Default: `default`.
            run_in: `loop`, `thread` or `process`. Default: `loop` for async functions, else
                `thread`.
            retry: When a failed attempt is tried again. Default: `RetryPolicy()`, 5 attempts.
            timeout: Longest attempt, in seconds or as a timedelta. None: no limit. Default: 1 h.
            keep_completed: What is kept of completed jobs. Default: the newest 10,000, for 7 days.
            keep_failed: What is kept of failed ones. Default: the newest 100,000, for 90 days.
            dead_letter: The queue in which jobs that fail for good leave letters. Default: what
                `Queue.set_dead_letter` says of their queue.
            max_payload_bytes: Largest payload as JSON. Default: 256 KiB.
            max_result_bytes: Largest result as JSON. Default: 64 KiB.
            profile: `light`, `medium` or `heavy`: which workers take it.
            rename: `camel` for camelCase parameters on the wire.
            sealed: Parameters that are encrypted in the store, by the keys of
                `TORIL_ENCRYPTION_KEYS`, and opened for the task only. A field of a parameter by a
                dot: `card.number`.
            any_name: Take jobs of its queue that no other task has the name of.
            others: None. Options of other queues are answered with ours.

        Raises:
            InvalidOptionError: An option or the function makes no sense; the message says which.
        """
        if others:
            refuse_options(others, _OPTIONS)

        def decorate(function: Any) -> Task[Any, Any]:
            if not callable(function):
                refuse_function(function)
            options = TaskOptions(
                name=getattr(function, "__name__", "") if name is None else name,
                queue=queue,
                run_in=run_in or ("loop" if inspect.iscoroutinefunction(function) else "thread"),
                retry=retry or RetryPolicy(),
                timeout_s=None if timeout is None else seconds(timeout, "timeout"),
                keep_completed=keep_completed,
                keep_failed=keep_failed,
                dead_letter=dead_letter,
                max_payload_bytes=max_payload_bytes,
                max_result_bytes=max_result_bytes,
                profile=None if profile is None else _profile(profile),
                rename=rename,
                sealed=sealed if isinstance(sealed, str) else tuple(sealed),  # type: ignore[arg-type]
                any_name=any_name,
            )
            return self._add(Task(function, options))

        return decorate if function is None else decorate(function)

    def bind(
        self,
        queue: str,
        task: Task[Any, Any],
        *,
        names: str | Sequence[str] | None = None,
        adapter: Adapter | Task[Any, Any] | Sequence[Adapter | Task[Any, Any]] | None = None,
        result: Callable[..., Any] | None = None,
        options: JobOptions | None = None,
        rate: RateLimit | None = None,
        concurrency: int | None = None,
        rename: Rename = None,
        sealed: Sequence[str] | None = None,
    ) -> None:
        """Have a task run jobs of another queue, name or payload too: `app.bind("email", send)`.

        Once all jobs of a queue are bound by name, a job of another name fails at once with
        `Unknown job type: ...`, unless the app says `unknown_tasks="wait"`.

        Parameters:
            queue: Whose jobs. A task may be bound to several, and need not be included itself.
            task: What runs them.
            names: The names of the jobs. None: any that no other task or binding has.
            adapter: Makes the task's arguments of the payload: a function whose parameters are the
                payload's fields, as those of a task are, and which returns the arguments by name
                (`task.arguments_of(...)`). A parameter of the type `StoredJob` gets the rest of the
                job. Several for several forms of the payload: the first that has a place for every
                field of it, else the first that fits; the task itself stands for its own payload.
                None: the payload is the task's own.
            result: Makes the job's result of the task's. It takes that, and a `StoredJob` if it
                asks for one. None: it is the task's.
            options: For jobs that are added here by queue and name, where the call gives none of
                its own: attempts, waits, what is kept, priority. They go before the task's. Of jobs
                that others add, those without attempts or waits get these.
            rate: At most so many starts of the queue's jobs in a window, over all workers with a
                limit. Goes before the worker's own.
            concurrency: At most so many jobs of the queue at once in each worker.
            rename: `camel`: the adapters' parameters are camelCase in the payload.
            sealed: Fields of the payload that are encrypted in the store. Must be given where the
                task has some; () for none.

        Raises:
            InvalidOptionError: An option makes no sense, or the queue has a task of such a name.
        """
        self._bind(
            binding_of(
                queue,
                task,
                names=names,
                sealed=sealed,
                adapter=adapter,
                result=result,
                options=options,
                rate=rate,
                concurrency=concurrency,
                rename=rename,
            )
        )


_OPTIONS = [
    name
    for name, parameter in inspect.signature(TaskMaker.task).parameters.items()
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY
]
"""What `@app.task` takes."""


_NOT_SEALED = "no sealed field: save such a schedule by app.schedules.put(...)"


def _profile(profile: Profile | str) -> Profile:
    try:
        return Profile(profile)
    except ValueError:
        words = ", ".join(Profile)
        raise InvalidOptionError(f"profile={profile!r}: expected one of {words}") from None
