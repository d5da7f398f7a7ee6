"""Processors: run the jobs of one queue."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Generic, TypeVar

from toril.engine.context import Context
from toril.engine.hooks import HookEvent
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
    """

    spec: ClassVar[QueueSpec]
    """Its queue."""
    payload_type: ClassVar[Any]
    """What its jobs carry."""
    result_type: ClassVar[Any]
    """What its jobs return."""

    def __init_subclass__(cls, spec: QueueSpec | None = None, **others: Any) -> None:
        """Read the queue and the types of a class.

        Raises:
            InvalidOptionError: It names none.
        """
        super().__init_subclass__(**others)
        if spec is None and hasattr(cls, "spec"):
            return
        cls.spec = spec_of(cls, spec)
        cls.payload_type, cls.result_type = types_of(cls, Processor)

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
        """Return the task that runs its jobs."""
        hints = {"context": Context, "payload": self.payload_type, "return": self.result_type}
        run: Callable[..., Any] = self.process

        async def process(context: Context, payload: Any) -> Any:
            return await run(ProcessorJob(context, payload))

        def process_in_thread(context: Context, payload: Any) -> Any:
            return run(ProcessorJob(context, payload))

        is_async = inspect.iscoroutinefunction(run)
        return typed_task(self.spec, process if is_async else process_in_thread, type(self), hints)
