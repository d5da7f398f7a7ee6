"""Runs attempts: one claimed job in, exactly one outcome out.

Knows where a task can run, and nothing of leases, fetching or the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from toril.core.codec import decode
from toril.core.errors import UnknownTaskError
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.context import Context, Facts
from toril.engine.endings import Endings, options_of
from toril.engine.flow_asking import FlowAsking
from toril.engine.follow_ups import FollowUpMaker, FollowUps
from toril.engine.handler import Handler, Handlers
from toril.engine.hearing import Hearing
from toril.engine.hooks import Hooks
from toril.engine.job import Claimed, Finished
from toril.engine.judging import describe
from toril.engine.middleware import Middleware, wrap
from toril.engine.outcomes import Fail
from toril.engine.runners import forks
from toril.engine.runners.frames import ProcessCall
from toril.engine.runners.interpreter import NoChildError
from toril.engine.runners.processes import ProcessOptions, ProcessSlots
from toril.engine.runners.threads import ThreadSlots
from toril.engine.speaker import Speaker
from toril.engine.stand_ins import presentable
from toril.engine.surroundings import Surroundings
from toril.engine.task_results import encoded_result

log = logger("toril.worker")

GRACE_S = 1.0
"""How long a thread has to end after it was told to, and again after it was interrupted."""
TICK_S = 0.1
"""Between two looks at the deadlines: a time limit is that exact, and no job needs a timer."""
PATIENCE_S = 2.0
"""How long a coroutine has to clean up after it was told to end, before it is told again."""
STUBBORN = 3
"""How often a coroutine that swallows its cancellation is told, before it is left behind."""


class Encoded(str):
    """A result that is JSON text already: what a child process hands back."""

    __slots__ = ()


class Executor:
    """The attempts of one worker."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        worker_id: str,
        middleware: Sequence[Middleware],
        hooks: Hooks,
        processes: ProcessOptions,
        together: Callable[[Sequence[str]], bool],
        finished: Callable[[Attempt, Finished], None],
        speaker: Speaker,
        asking: FlowAsking,
        ending: Callable[[], bool],
    ) -> None:
        """Make an executor.

        Parameters:
            together: Whether the store can write these queues in one transaction.
            finished: Takes each outcome; called once per attempt, on the loop.
            speaker: Takes progress and log lines.
            asking: Answers what tasks ask of their jobs' children.
            ending: Whether the program is ending, which cancels all tasks of its loop, ours too.
        """
        self._handlers = handlers
        self._worker_id = worker_id
        self._middleware = tuple(middleware)
        self._hooks = hooks
        self._process_options = processes
        self._finished = finished
        self._endings = Endings(worker_id, ending)
        self._loop = asyncio.get_running_loop()
        self._hearing = Hearing(
            self._loop, speaker, hooks, FollowUpMaker(handlers, together), asking
        )
        self._surroundings = Surroundings()
        self._threads = ThreadSlots(self._loop)
        self._lineage = forks.lineage
        forks.end_with_child(self._loop)
        self._processes: ProcessSlots | None = None
        self.running: dict[tuple[str, int | str], Attempt] = {}
        """By token and number. Read by the lease thread."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self, claimed: Claimed, lease_ms: int) -> None:
        """Begin an attempt."""
        attempt = Attempt(claimed, lease_ms)
        self.running[claimed.token, claimed.number] = attempt
        attempt.task = self._loop.create_task(
            self._run(attempt), context=self._surroundings.fresh()
        )
        if self._timer is None:
            self._timer = self._loop.call_later(
                TICK_S, self._tick, context=self._surroundings.context
            )

    async def close(self) -> None:
        """Let go of threads and processes. Nothing may be running any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._threads.close()
        if self._processes is not None:
            await self._processes.close()

    async def _run(self, attempt: Attempt) -> None:
        """Run one attempt and record exactly one outcome."""
        attempt.begun = True
        try:
            try:
                if attempt.stop_kind is None:
                    outcome = await self._perform(attempt)
                else:  # told to end before it began
                    outcome = self._endings.stopped(attempt)
            except Exception as error:
                forks.end_if_forked(self._lineage, error)
                outcome = self._endings.raised(attempt, error)
            except asyncio.CancelledError:
                outcome = self._endings.stopped(attempt)
            except BaseException as error:
                forks.end_if_forked(self._lineage, error)
                substitute = presentable(error, describe(error))
                outcome = self._endings.raised(attempt, substitute)
        except BaseException as error:  # ours, or of what is stored: it must settle all the same
            outcome = self._endings.last_resort(attempt, error)
        if forks.lineage != self._lineage:  # without a call: each attempt comes by
            forks.end_child()
        self._settle(attempt, outcome)

    async def _perform(self, attempt: Attempt) -> Finished:
        claimed = attempt.claimed
        attempt.handler = handler = self._handlers.find(claimed.queue, claimed.name)
        if claimed.deferred_failure is not None:
            raise Fail(claimed.deferred_failure)
        if handler is None:
            raise UnknownTaskError(f"Unknown job type: {claimed.name}")
        if handler.timeout_s is not None:
            attempt.deadline_s = attempt.started_s + handler.timeout_s
        if self._hooks.wants("active"):
            self._hooks.tell("active", **attempt.names())
        if handler.run_in == "loop" and not self._middleware:
            result = await self._on_loop(attempt, handler)
        else:
            result = await self._around(attempt, handler)
        if attempt.stop_kind is not None and attempt.stop_kind != "released":
            return self._endings.stopped(attempt)  # it swallowed its cancellation and returned
        encoded = str(result) if type(result) is Encoded else encoded_result(handler, result)
        return self._endings.completed(attempt, handler, encoded)

    def _on_loop(self, attempt: Attempt, handler: Handler) -> Awaitable[Any]:
        arguments = handler.arguments(attempt.claimed.data)
        self._inject(attempt, handler, arguments)
        running: Awaitable[Any] = handler.function(**arguments)
        return running

    async def _around(self, attempt: Attempt, handler: Handler) -> Any:
        """Run a task inside the middleware, wherever it runs."""
        context = self._context(attempt, handler)

        async def call() -> Any:
            match handler.run_in:
                case "loop":
                    return await self._on_loop(attempt, handler)
                case "thread":
                    return await self._in_thread(attempt, handler)
                case "process":
                    text = await self._in_process(attempt, handler, context)
                    # Middleware sees a value, wherever the task runs.
                    return handler.decode(text) if self._middleware else Encoded(text)

        if not self._middleware:
            return await call()
        own: list[Any] = []

        async def remembered() -> Any:
            own.append(await call())
            return own[-1]

        result = await wrap(self._middleware, context, remembered)()
        if any(result is one for one in own):
            return result
        # It is not what the task says that it returns, and need not be of that type.
        return Encoded(encoded_result(handler, result, replaced=True))

    async def _in_thread(self, attempt: Attempt, handler: Handler) -> Any:
        arguments = handler.arguments(attempt.claimed.data)
        self._context(attempt, handler)
        self._inject(attempt, handler, arguments)
        call = self._threads.start(handler.function, arguments)
        try:
            return await asyncio.shield(call.future)
        except asyncio.CancelledError:
            for push in (None, call.interrupt):
                if push is not None:
                    push()
                await self._patience(call.future)
                if call.future.done():
                    break
            else:
                if call.abandon():
                    log.error(
                        "%s does not end after %s; its thread is left behind",
                        attempt.label,
                        attempt.stop_reason,
                    )
            if call.future.done() and not call.future.cancelled():
                # Looked at in any case: what it raised after its end does not count.
                error = call.future.exception()
                if error is None and attempt.stop_kind == "released":
                    return call.future.result()  # it got ready before the worker stopped
            raise

    async def _in_process(self, attempt: Attempt, handler: Handler, context: Context) -> str:
        handler.arguments(attempt.claimed.data)  # a payload that does not fit needs no process
        if self._processes is None:
            self._processes = ProcessSlots(
                provided=self._handlers.provided_for_children(),
                options=self._process_options,
                is_full=lambda: self._hearing.is_full,
            )
        call = ProcessCall(handler.target(), attempt.claimed.data.encode(), context.facts)
        try:
            result = await self._processes.run(call, partial(self._hearing.hear_child, attempt))
        except NoChildError as error:  # another attempt would find the same program
            raise Fail(str(error)) from error
        return _json(result)

    async def _patience(self, future: asyncio.Future[Any]) -> None:
        """Wait a little for a future, whatever cancellations arrive meanwhile."""
        until_s = time.monotonic() + GRACE_S
        while not future.done() and (left_s := until_s - time.monotonic()) > 0:
            try:
                await asyncio.wait([future], timeout=left_s)
            except asyncio.CancelledError:
                continue

    def _inject(self, attempt: Attempt, handler: Handler, arguments: dict[str, Any]) -> None:
        """Add what does not come from the payload: the context, and what the app provides."""
        if handler.context_name is not None:
            arguments[handler.context_name] = self._context(attempt, handler)
        for name, kind in handler.provided_names.items():
            arguments[name] = self._handlers.provide(kind)

    def _context(self, attempt: Attempt, handler: Handler) -> Context:
        if attempt.context is None:
            claimed = attempt.claimed
            facts = Facts(
                job_id=claimed.id,
                queue=claimed.queue,
                task=claimed.name,
                attempt=claimed.attempts_made + 1,
                max_attempts=options_of(attempt).max_attempts or handler.retry.max_attempts,
                worker_id=self._worker_id,
                created_at_ms=claimed.timestamp_ms,
                timeout_s=handler.timeout_s,
            )
            attempt.follow_ups = FollowUps()
            emit = partial(self._hearing.hear, attempt)
            attempt.context = Context(facts, emit, claimed.data, store=handler.store)
        return attempt.context

    def _settle(self, attempt: Attempt, outcome: Finished) -> None:
        """Hand the outcome on, once."""
        if attempt.settled:
            return
        attempt.settled = True
        if attempt.follow_ups is not None:
            attempt.follow_ups.take()  # whoever still runs in its name is refused from here on
        claimed = attempt.claimed
        self.running.pop((claimed.token, claimed.number), None)
        self._finished(attempt, outcome)

    def abandon(self, attempt: Attempt) -> None:
        """Record the outcome of an attempt that was told to end and does not."""
        if attempt.task is None or not attempt.task.done():
            log.error("%s does not end and is left behind", attempt.label)
        try:
            outcome = self._endings.stopped(attempt)
        except Exception as error:  # as in `_run`
            outcome = self._endings.last_resort(attempt, error)
        self._settle(attempt, outcome)
        if attempt.task is not None:
            # `asyncio.run` waits for every task that it knows: it would never return.
            # Source: Python's "Extending asyncio", section "Task lifetime support".
            asyncio._unregister_task(attempt.task)

    def _tick(self) -> None:
        """Tell those whose time is up; leave behind those that will not listen."""
        now_s = time.monotonic()
        for attempt in list(self.running.values()):
            if attempt.stop_kind is not None:
                if _swallows(attempt) and now_s >= attempt.nudged_s + PATIENCE_S:
                    self._insist(attempt)
            elif attempt.deadline_s is not None and now_s >= attempt.deadline_s:
                handler = attempt.handler
                limit_s = None if handler is None else handler.timeout_s
                attempt.stop("timeout", f"ran longer than timeout_s={limit_s}")
        self._timer = None
        if self.running:
            self._timer = self._loop.call_later(
                TICK_S, self._tick, context=self._surroundings.context
            )

    def _insist(self, attempt: Attempt) -> None:
        if attempt.nudges >= STUBBORN:
            self.abandon(attempt)
        else:
            attempt.nudge()


def _swallows(attempt: Attempt) -> bool:
    """Whether a coroutine goes on although it was cancelled. Threads have their own patience."""
    return attempt.handler is not None and attempt.handler.run_in == "loop"


def _json(result: bytes) -> str:
    """Return the result that a child handed back, if it is JSON: not only our code runs there."""
    try:
        decode(result)
    except (ValueError, RecursionError) as error:
        raise Fail(f"the child process handed back a result that is no JSON: {error}") from None
    return result.decode()
