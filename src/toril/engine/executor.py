"""Runs attempts: one claimed job in, exactly one outcome out.

Knows where a task can run, and nothing of leases, fetching or the store.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from toril.core.codec import decode
from toril.core.errors import AttemptTimeoutError, TorilError, UnknownTaskError
from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.context import Context, Facts, FollowUp, LineLogged, ProgressMade, Said
from toril.engine.contract.dispatch import Speech
from toril.engine.handler import Handler, Handlers
from toril.engine.hooks import Hooks
from toril.engine.job import Claimed, Finished, NewJob
from toril.engine.judging import Verdict, describe, judge, storable
from toril.engine.middleware import Middleware, wrap
from toril.engine.options import KEEP_FAILED, JobOptions
from toril.engine.outcomes import Cancel, Fail
from toril.engine.runners import forks
from toril.engine.runners.frames import ProcessCall
from toril.engine.runners.processes import ProcessOptions, ProcessSlots
from toril.engine.runners.threads import ThreadSlots
from toril.engine.tracebacks import traceback_text
from toril.engine.wire_options import WireOptions, from_wire, to_wire

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
        finished: Callable[[Attempt, Finished], None],
        speak: Callable[[Speech], None],
        ending: Callable[[], bool],
    ) -> None:
        """Make an executor.

        Parameters:
            finished: Takes each outcome; called once per attempt, on the loop.
            speak: Takes progress and log lines, in order, on the loop.
            ending: Whether the program ends: it cancels all tasks of its loop then, ours too.
        """
        self._handlers = handlers
        self._worker_id = worker_id
        self._middleware = tuple(middleware)
        self._hooks = hooks
        self._process_options = processes
        self._finished = finished
        self._speak = speak
        self._ending = ending
        self._loop = asyncio.get_running_loop()
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
        attempt.task = self._loop.create_task(self._run(attempt))
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

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
        if attempt.stop_kind is not None:  # told to end before it began
            self._settle(attempt, self._stopped(attempt))
            return
        try:
            outcome = await self._perform(attempt)
        except Exception as error:
            self._end_if_forked(error)
            outcome = self._judged(attempt, error)
        except asyncio.CancelledError:
            outcome = self._stopped(attempt)
        except BaseException as error:
            self._end_if_forked(error)
            substitute = RuntimeError(f"the task raised {describe(error)}")
            substitute.__cause__ = error
            outcome = self._judged(attempt, substitute)
        if forks.lineage != self._lineage:
            forks.end_child()
        self._settle(attempt, outcome)

    def _end_if_forked(self, error: BaseException) -> None:
        if forks.lineage != self._lineage:
            forks.end_child(error)

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
            return self._stopped(attempt)  # it swallowed its cancellation and returned
        encoded = str(result) if type(result) is Encoded else self._encode(handler, result)
        return self._completed(attempt, handler, encoded)

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
                    return decode(text) if self._middleware else Encoded(text)

        return await wrap(self._middleware, context, call)()

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
                provided=self._handlers.provided_for_children(), options=self._process_options
            )
        call = ProcessCall(handler.target(), attempt.claimed.data.encode(), context.facts)
        result = await self._processes.run(call, lambda said: self._hear(attempt, said))
        return result.decode()

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
                max_attempts=self._options(attempt).max_attempts or handler.retry.max_attempts,
                worker_id=self._worker_id,
                created_at_ms=claimed.timestamp_ms,
                timeout_s=handler.timeout_s,
            )
            attempt.context = Context(facts, lambda said: self._overhear(attempt, said))
        return attempt.context

    def _overhear(self, attempt: Attempt, said: Said) -> None:
        """Take what a task says, from whatever thread it says it in."""
        if asyncio._get_running_loop() is self._loop:
            self._hear(attempt, said)
        else:
            self._loop.call_soon_threadsafe(self._hear, attempt, said)

    def _hear(self, attempt: Attempt, said: Said) -> None:
        if attempt.settled:
            return
        match said:
            case FollowUp():
                attempt.follow_ups = [*(attempt.follow_ups or ()), said]
                return
            case ProgressMade(value):
                speech = _speech(attempt, progress=value)
                if self._hooks.wants("progress"):
                    self._hooks.tell("progress", progress=value, **attempt.names())
            case LineLogged(line):
                keep_logs = self._options(attempt).keep_logs
                speech = _speech(attempt, line=storable(line), keep_logs=keep_logs)
        self._speak(speech)

    def _encode(self, handler: Handler, result: object) -> str:
        try:
            return handler.encode(result)
        except (TypeError, ValueError) as error:
            problem = str(error)
            if inspect.iscoroutine(result):
                result.close()
                problem = "it is a coroutine; make the task itself an 'async def'"
            raise Fail(f"the result of {handler.name!r} cannot be stored: {problem}") from error

    def _completed(self, attempt: Attempt, handler: Handler, value: str) -> Finished:
        claimed = attempt.claimed
        options = self._options(attempt)
        keep = options.keep_completed or handler.keep_completed
        follow_ups = None
        if attempt.follow_ups:
            follow_ups = [self._follow_up(said) for said in attempt.follow_ups]
        return Finished(
            queue=claimed.queue,
            number=claimed.number,
            job_id=claimed.id,
            token=claimed.token,
            kind="completed",
            value=value,
            attempt=claimed.attempts_started,
            attempts_made=claimed.attempts_made + 1,
            keep_count=keep.count,
            keep_age_ms=_ms(keep.age_s),
            worker_id=self._worker_id,
            started_ms=claimed.started_ms,
            follow_ups=follow_ups,
        )

    def _follow_up(self, said: FollowUp) -> NewJob:
        handler = self._handlers.named(said.task, said.queue)
        queue = said.queue or (None if handler is None else handler.queue)
        if queue is None:
            raise Fail(f"the follow-up {said.task!r} names no queue, and the app has no such task")
        if handler is not None:
            handler.arguments(said.payload)
        opts = "{}" if handler is None else to_wire(JobOptions(), handler.retry)
        return NewJob(queue=queue, name=said.task, data=said.payload, opts=opts)

    def _judged(self, attempt: Attempt, error: BaseException) -> Finished:
        """Return the outcome of an attempt that raised."""
        if attempt.stop_kind is not None:  # told to end, and ended by raising
            return self._stopped(attempt)
        try:
            verdict = self._verdict(attempt, error)
            expected = isinstance(error, TorilError | Cancel | Fail)
            traceback = None if expected else traceback_text(error)
        except BaseException as broken:  # its own code raises: the job must end all the same
            verdict, traceback = Verdict("failed", f"{describe(error)} ({describe(broken)})"), None
        return self._ended(attempt, verdict, traceback, error=error)

    def _verdict(self, attempt: Attempt, error: BaseException) -> Verdict:
        if attempt.handler is None:
            return Verdict("failed", _bare(error))
        policy = self._options(attempt).retry(attempt.handler.retry)
        made = attempt.claimed.attempts_made + 1
        return judge(error, policy, attempts_made=made, draw=random.random())  # noqa: S311 - jitter

    def _stopped(self, attempt: Attempt) -> Finished:
        """Return the outcome of an attempt that was told to end."""
        match attempt.stop_kind:
            case "timeout":
                attempt.stop_kind = None
                return self._judged(attempt, AttemptTimeoutError(attempt.stop_reason))
            case "cancelled":
                return self._ended(attempt, Verdict("failed", attempt.stop_reason), None)
            case "released" | "lease_lost":
                return self._outcome(attempt, "released", counts=False)
            case None if self._ending():
                return self._outcome(attempt, "released", counts=False)
            case None:  # the task cancelled itself, or a library did
                return self._judged(attempt, RuntimeError("the task was cancelled from within"))

    def _ended(
        self,
        attempt: Attempt,
        verdict: Verdict,
        traceback: str | None,
        *,
        error: BaseException | None = None,
    ) -> Finished:
        outcome = self._outcome(attempt, verdict.kind, counts=verdict.counts)
        outcome.reason = None if verdict.reason is None else storable(verdict.reason)
        outcome.traceback = traceback
        outcome.wait_ms = round(verdict.wait_s * 1000)
        outcome.until_ms = verdict.until_ms
        outcome.exhausted = verdict.exhausted
        if verdict.kind == "failed":
            handler = attempt.handler
            keep = self._options(attempt).keep_failed
            keep = keep or (KEEP_FAILED if handler is None else handler.keep_failed)
            outcome.keep_count, outcome.keep_age_ms = keep.count, _ms(keep.age_s)
        attempt.error = error
        return outcome

    def _outcome(self, attempt: Attempt, kind: Any, *, counts: bool) -> Finished:
        claimed = attempt.claimed
        return Finished(
            queue=claimed.queue,
            number=claimed.number,
            job_id=claimed.id,
            token=claimed.token,
            kind=kind,
            attempt=claimed.attempts_started,
            attempts_made=claimed.attempts_made + counts,
            worker_id=self._worker_id,
            started_ms=claimed.started_ms,
            lifo=self._options(attempt).lifo,
        )

    def _settle(self, attempt: Attempt, outcome: Finished) -> None:
        """Hand the outcome on, once."""
        if attempt.settled:
            return
        attempt.settled = True
        claimed = attempt.claimed
        self.running.pop((claimed.token, claimed.number), None)
        self._finished(attempt, outcome)

    def abandon(self, attempt: Attempt) -> None:
        """Record the outcome of an attempt that was told to end and does not."""
        if attempt.task is None or not attempt.task.done():
            log.error("%s does not end and is left behind", attempt.label)
        self._settle(attempt, self._stopped(attempt))
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
        self._timer = self._loop.call_later(TICK_S, self._tick) if self.running else None

    def _insist(self, attempt: Attempt) -> None:
        if attempt.nudges >= STUBBORN:
            self.abandon(attempt)
        else:
            attempt.nudge()

    def _options(self, attempt: Attempt) -> WireOptions:
        return from_wire(attempt.claimed.opts)


def _swallows(attempt: Attempt) -> bool:
    """Whether a coroutine goes on although it was cancelled. Threads have their own patience."""
    return attempt.handler is not None and attempt.handler.run_in == "loop"


def _bare(error: BaseException) -> str:
    return str(error) if isinstance(error, TorilError | Cancel | Fail) else describe(error)


def _ms(duration_s: float | None) -> int | None:
    return None if duration_s is None else round(duration_s * 1000)


def _speech(attempt: Attempt, **said: Any) -> Speech:
    claimed = attempt.claimed
    return Speech(
        claimed.queue,
        claimed.number,
        claimed.id,
        claimed.token,
        claimed.attempts_started,
        **said,
    )
