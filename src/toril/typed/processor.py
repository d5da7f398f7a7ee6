"""Processors: run the jobs of one queue."""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

from toril.core.checks import require
from toril.core.errors import InvalidOptionError
from toril.engine.context import Context
from toril.engine.hooks import HookEvent
from toril.engine.runners.processes import ProcessOptions
from toril.tasks.task import Task
from toril.typed.payloads import typed_task, types_of
from toril.typed.processor_job import ProcessorJob
from toril.typed.spec import QueueSpec, spec_of

P = TypeVar("P")
R = TypeVar("R")


class Processor(ABC, Generic[P, R]):
    """Runs the jobs of one queue: `class MailProcessor(Processor[Mail, Sent], spec=MAIL)`.

    One object of the class runs all jobs, several at a time. A hook that is overridden is called
    by the workers of its own process; one that raises is logged and changes nothing.

    With `run_in="process"` each attempt runs in a child process, which can be killed at its time
    limit, and costs nothing but itself when it crashes. `max_memory_bytes` limits such a child: an
    attempt that takes more fails. The class is then at module level, and made without arguments.
    """

    spec: ClassVar[QueueSpec]
    """Its queue."""
    payload_type: ClassVar[Any]
    """What its jobs carry."""
    result_type: ClassVar[Any]
    """What its jobs return."""

    run_in: ClassVar[Literal["process"] | None] = None
    """`process`: in child processes. None: on the event loop or in a thread, as `process` is."""
    processes: ClassVar[ProcessOptions | None] = None
    """What limits its child processes."""

    def __init_subclass__(
        cls,
        spec: QueueSpec | None = None,
        *,
        run_in: Literal["process"] | None = None,
        max_memory_bytes: int | None = None,
        **others: Any,
    ) -> None:
        """Read the queue and the types of a class.

        Raises:
            InvalidOptionError: It names none, or an option makes no sense.
        """
        super().__init_subclass__(**others)
        if spec is None and hasattr(cls, "spec"):
            return
        open_types: tuple[Any, ...] = getattr(cls, "__parameters__", ())
        if spec is None and open_types:
            return  # a base of processors
        cls.spec = spec_of(cls, spec)
        cls.payload_type, cls.result_type = types_of(cls, Processor)
        require(run_in in (None, "process"), "run_in", run_in, "'process', or None")
        cls.run_in = run_in
        if max_memory_bytes is not None:
            cls._limit(max_memory_bytes)

    @classmethod
    def _limit(cls, max_memory_bytes: int) -> None:
        if cls.run_in is None:
            raise InvalidOptionError(
                f"class {cls.__qualname__}: max_memory_bytes={max_memory_bytes} is of child"
                ' processes: add run_in="process"'
            )
        cls.processes = ProcessOptions(max_memory_bytes=max_memory_bytes)

    @abstractmethod
    def process(self, job: ProcessorJob[P]) -> R | Awaitable[R]:
        """Run a job; what it returns is the job's result.

        `async def` runs on the event loop of the worker, a plain `def` in a thread. What it raises
        fails the attempt; `Fail`, `Retry`, `Snooze` and `Cancel` say more.
        """

    def on_active(self, job: HookEvent) -> Awaitable[None] | None:
        """Called when an attempt begins."""
        return None

    def on_completed(self, job: HookEvent, result: str | None) -> Awaitable[None] | None:
        """Called when a job has completed, with its result as JSON text."""
        return None

    def on_failed(self, job: HookEvent, error: str) -> Awaitable[None] | None:
        """Called when an attempt has failed, with the reason.

        `job.name` is `failed` once the job has failed for good, `retried` before.
        """
        return None

    def on_progress(self, job: HookEvent, progress: str | None) -> Awaitable[None] | None:
        """Called when a job says how far it is, with that as JSON text."""
        return None

    def on_stalled(self, job: HookEvent) -> Awaitable[None] | None:
        """Called when a job that lost its worker was put back."""
        return None

    def on_error(self, error: BaseException) -> Awaitable[None] | None:
        """Called when a worker of this process has met an error that is no job's."""
        return None

    def task(self) -> Task[Any, Any]:
        """Return the task that runs its jobs.

        Raises:
            InvalidOptionError: It runs in child processes, and they cannot make it.
        """
        hints = {"context": Context, "payload": self.payload_type, "return": self.result_type}
        run: Callable[..., Any] = self.process

        async def process(context: Context, payload: Any) -> Any:
            return await run(ProcessorJob(context, payload))

        def process_in_thread(context: Context, payload: Any) -> Any:
            return run(ProcessorJob(context, payload))

        if self.run_in == "process":
            _require_no_arguments(type(self))
        is_async = inspect.iscoroutinefunction(run)
        function = process if is_async else process_in_thread
        return typed_task(self.spec, function, type(self), hints, run_in=self.run_in)

    def binding(self) -> dict[str, Any]:
        """Return what `App.bind` is told beside queue, names and options."""
        return {"task": self.task()}

    @classmethod
    def run_here(
        cls,
        payload: bytes,
        context: Context,
        provided: Mapping[type, object],
        run: Callable[[Coroutine[Any, Any, Any]], Any] = asyncio.run,
    ) -> bytes:
        """Run one attempt in this (child) process: JSON in, JSON out."""
        own = cls.__dict__.get("_in_child")
        if own is None:  # made once a process, as its `__init__` may load a model
            own = cls._in_child = cls().task()  # type: ignore[attr-defined]
        return own.run_here(payload, context, provided, run)


def _require_no_arguments(kind: type) -> None:
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise InvalidOptionError(
            f'class {kind.__qualname__}: run_in="process": a child process makes the processor'
            f" anew, without arguments: {error}. Make what it needs in its __init__"
        ) from None
