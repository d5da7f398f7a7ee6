"""Calls the task of an attempt: on the event loop, in a thread or in a child process.

Its result, or what it raises, comes back as it is. Knows nothing of leases, deadlines or outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial
from typing import Any

from toril.engine.attempt import Attempt
from toril.engine.attempt_context import give_context
from toril.engine.attempt_messages import AttemptMessages
from toril.engine.context import Context
from toril.engine.handler import Bound, Handler, Handlers
from toril.engine.hooks import Hooks
from toril.engine.job_log import JobLog
from toril.engine.middleware import Middleware, wrap
from toril.engine.outcomes import Fail
from toril.engine.runners.in_process import ProcessRunner
from toril.engine.runners.in_thread import PlainRunner, ThreadRunner
from toril.engine.runners.processes import ProcessOptions
from toril.engine.task_results import Encoded, encoded_result
from toril.engine.tracing import Tracer
from toril.engine.unknown_tasks import UnknownTasks


class Runner:
    """Calls the tasks of one worker's attempts."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        worker_id: str,
        middleware: Sequence[Middleware],
        hooks: Hooks,
        messages: AttemptMessages,
        processes: ProcessOptions,
        unknown: UnknownTasks,
        job_log: JobLog,
        threads: PlainRunner | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._handlers = handlers
        self._worker_id = worker_id
        self._middleware = tuple(middleware)
        self._hooks = hooks
        self._messages = messages
        self._unknown = unknown
        self._job_log = job_log
        self._threads = threads or ThreadRunner(asyncio.get_running_loop())
        self._processes = ProcessRunner(handlers, processes, messages, tracer)

    def call(self, attempt: Attempt) -> Awaitable[Any]:
        """Begin an attempt; awaited, it gives the task's result. Sets `attempt.handler`.

        Raises:
            Fail: The store says that the job has to fail.
            PostponedError, UnknownTaskError: There is no such task. When awaited.
            InvalidPayloadError: The payload does not fit the task.
        """
        claimed = attempt.claimed
        attempt.handler = handler = self._handlers.find(claimed.queue, claimed.name)
        if claimed.deferred_failure is not None:
            raise Fail(claimed.deferred_failure)
        if handler is None:
            return self._unknown.judge(claimed)
        if handler.timeout_s is not None:
            attempt.deadline_s = attempt.started_s + handler.timeout_s
        if "active" in self._hooks.wanted:
            self._hooks.tell("active", **attempt.names())
            self._job_log.began(attempt)
        if self._middleware:
            return self._within_middleware(attempt, handler)
        return self._in_its_place(attempt, handler)

    async def close(self) -> None:
        """Let go of threads and processes. Nothing may be running any more."""
        self._threads.close()
        await self._processes.close()

    def _in_its_place(
        self, attempt: Attempt, handler: Handler, adapted: str | None = None
    ) -> Awaitable[Any]:
        """Call the function. From a child process its result comes as JSON text, `Encoded`.

        Parameters:
            adapted: The payload in place of the stored one, in the task's own form.
        """
        binding = handler.binding
        if binding is None:
            # A payload that does not fit needs no process.
            arguments = handler.arguments(attempt.claimed.data)
        elif adapted is None:
            return self._bound(attempt, handler, binding)
        else:
            arguments = binding.read_payload(adapted)
        match handler.run_in:
            case "loop":
                if handler.context_name is not None or handler.provided_names:
                    self._inject(attempt, handler, arguments)
                running: Awaitable[Any] = handler.called(**arguments)
                return running
            case "thread":
                self._context(attempt, handler)  # by which it is told to end
                self._inject(attempt, handler, arguments)
                return self._threads.run(attempt, handler.called, arguments)
            case "process":
                context = self._context(attempt, handler)
                return self._processes.run(attempt, handler, context, adapted)

    async def _bound(self, attempt: Attempt, handler: Handler, binding: Bound) -> Any:
        """Call a task whose jobs have another payload than its own, and other results."""
        claimed = attempt.claimed
        result = await self._in_its_place(attempt, handler, binding.payload_of(claimed))
        return binding.result_of(result, claimed)

    async def _within_middleware(self, attempt: Attempt, handler: Handler) -> Any:
        own: list[Any] = []

        async def call() -> Any:
            result = await self._in_its_place(attempt, handler)
            # Middleware sees a value, wherever the task runs.
            own.append(handler.decode(str(result)) if type(result) is Encoded else result)
            return own[-1]

        result = await wrap(self._middleware, self._context(attempt, handler), call)()
        if any(result is one for one in own):
            return result
        # It is not what the task says that it returns, and need not be of that type.
        return Encoded(encoded_result(handler, result, replaced=True))

    def _inject(self, attempt: Attempt, handler: Handler, arguments: dict[str, Any]) -> None:
        """Add what does not come from the payload: the context, and what the app provides."""
        if handler.context_name is not None:
            arguments[handler.context_name] = self._context(attempt, handler)
        for name, kind in handler.provided_names.items():
            arguments[name] = self._handlers.provide(kind)

    def _context(self, attempt: Attempt, handler: Handler) -> Context:
        """Return the attempt's context, made when it is first needed."""
        if attempt.context is None:
            emit = partial(self._messages.receive, attempt)
            worker_id = self._worker_id
            give_context(attempt, handler, emit, worker_id=worker_id, timeout_s=handler.timeout_s)
        assert attempt.context is not None  # noqa: S101 - it was just given one
        return attempt.context
