"""Runs an app's jobs in a test: a real worker on a real store in memory, until it is idle.

Nothing is faked: states, JSON and runners are those of production. Only time differs: it stands
still until the test moves it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar

from toril.app import App
from toril.core.clock import epoch_ms, moment
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.engine.schedules.record import slot_of
from toril.engine.states import State
from toril.settings import Settings
from toril.testing.callers import Caller, CallerThread
from toril.testing.clock import ManualClock
from toril.testing.ran import Ran
from toril.testing.running import Run, StillRunningError

T = TypeVar("T")

MEMORY = "sqlite://:memory:"


class Bench:
    """An app under test: its clock, and a worker whenever the test wants one."""

    def __init__(self, app: App, clock: ManualClock, *, same_thread: bool = False) -> None:
        self._app = app
        self.clock = clock
        """The app's time, which the test moves."""
        self.ran = Ran()
        """What has happened in all runs so far."""
        # A framework that knows better where its tests run brings a caller of its own.
        own: Callable[[], Caller] | None = getattr(app, "_caller_in_tests", None)
        self._make_caller = own or (CallerThread if same_thread else None)
        self._caller: Caller | None = None
        self._turn = threading.Lock()
        self._again = False

    @property
    def app(self) -> App:
        """The app under test."""
        return self._app

    async def run_until_idle(
        self,
        *,
        advance: bool = False,
        concurrency: int = 1,
        timeout_s: float = 30.0,
        max_attempts: int = 10_000,
    ) -> Ran:
        """Run what is ready, and what that leads to, until nothing is.

        Jobs that wait for a moment are left, as are those of paused and limited queues.

        With `same_thread` of `in_memory`, plain functions run in the thread that calls
        `run_until_idle_sync`, as long as `concurrency` is 1.

        Parameters:
            advance: Move the clock to the next delayed job again and again, until none is left but
                those of schedules, which have no end: `run_for` runs these.
            concurrency: Jobs at once. With 1 (the default) they run in order, one after the other.
            timeout_s: Longest run, in real seconds.
            max_attempts: Attempts in all before this is taken for a loop.

        Raises:
            StillRunningError: It took too long, or does not come to an end.
        """
        return await self._run(
            self._skip_to_next if advance else _stay, concurrency, timeout_s, max_attempts
        )

    async def run_for(
        self,
        duration: float | timedelta,
        *,
        concurrency: int = 1,
        timeout_s: float = 30.0,
        max_attempts: int = 10_000,
    ) -> Ran:
        """Let time pass, and run everything that comes due meanwhile, schedules included.

        The clock goes from one delayed job to the next, so that each runs at its moment.

        Parameters:
            duration: How long, by the app's clock, in seconds or as a timedelta.
            concurrency: Jobs at once.
            timeout_s: Longest run, in real seconds.
            max_attempts: Attempts in all before this is taken for a loop.

        Raises:
            StillRunningError: It took too long, or does not come to an end.
        """
        until_ms = self.clock.now_ms() + round(seconds(duration, "duration") * 1000)

        async def skip() -> bool:
            due = await self._next_due(schedules=True)
            if due is None or epoch_ms(due) > until_ms:
                return False
            self.clock.advance(max(0, epoch_ms(due) - self.clock.now_ms()) / 1000)
            return True

        ran = await self._run(skip, concurrency, timeout_s, max_attempts)
        self.clock.advance(max(0, until_ms - self.clock.now_ms()) / 1000)
        return ran

    async def _run(
        self,
        skip: Callable[[], Awaitable[bool]],
        concurrency: int,
        timeout_s: float,
        max_attempts: int,
    ) -> Ran:
        """Run until idle, and again for as long as `skip` finds something to do."""
        caller = self._caller
        if caller is None and self._make_caller is not None and self._make_caller().serves_async:
            caller = self._make_caller()
        threads = caller if concurrency == 1 else None
        run = Run(self.app, concurrency, max_attempts, threads, [Ran(), self.ran])
        hooks = self.app._hooks
        # Each run is a worker process, however many workers it takes.
        await self.app._life_cycle.enter()
        try:
            with hooks.listening("active", run.began), hooks.listening("completed", run.ended):
                with hooks.listening("failed", run.ended), hooks.listening("retried", run.ended):
                    async with asyncio.timeout(timeout_s):
                        while await run.once() or await skip():
                            continue
        except StillRunningError:
            raise
        except TimeoutError:
            raise StillRunningError(
                f"not idle after {timeout_s:g} s: {run.doing()}. A task that waits for another job"
                " needs run_until_idle(concurrency=...) above 1"
            ) from None
        finally:
            await self.app._life_cycle.leave()
        return run.ran[0]

    def run_until_idle_sync(
        self,
        *,
        advance: bool = False,
        concurrency: int = 1,
        timeout_s: float = 30.0,
        max_attempts: int = 10_000,
    ) -> Ran:
        """The same for plain tests."""
        with self._turn:
            return self._wait_for(
                self.run_until_idle(
                    advance=advance,
                    concurrency=concurrency,
                    timeout_s=timeout_s,
                    max_attempts=max_attempts,
                )
            )

    def run_for_sync(
        self,
        duration: float | timedelta,
        *,
        concurrency: int = 1,
        timeout_s: float = 30.0,
        max_attempts: int = 10_000,
    ) -> Ran:
        """`run_for` for plain tests."""
        with self._turn:
            return self._wait_for(
                self.run_for(
                    duration,
                    concurrency=concurrency,
                    timeout_s=timeout_s,
                    max_attempts=max_attempts,
                )
            )

    def _wait_for(self, run: Coroutine[Any, Any, T]) -> T:
        """Wait for a run in plain code, and run its plain functions here if they are to."""
        if self._make_caller is None:
            return self.app._producer.portal.run(run)
        self._caller = self._make_caller()
        try:
            return self._caller.wait_for(self.app._producer.portal.begin, run)
        finally:
            self._caller = None

    def _run_now(self) -> None:
        """Run what is ready. During a run: that run sees to it, or is followed by another."""
        self._again = True
        while self._again and self._turn.acquire(blocking=False):
            try:
                self._again = False
                self._wait_for(self.run_until_idle())
            finally:
                self._turn.release()

    async def _skip_to_next(self) -> bool:
        """Move the clock to the next delayed job; return whether there is one."""
        due = await self._next_due()
        if due is not None:
            wait_s = (due - moment(self.clock.now_ms())).total_seconds()
            self.clock.advance(max(0.0, wait_s))
        return due is not None

    async def _next_due(self, *, schedules: bool = False) -> datetime | None:
        """Return when the next delayed job is due; those of schedules only if asked."""
        served = {task.queue for task in self.app.tasks()}
        moments: list[datetime] = []
        for queue in await self.app.queues():
            if queue.name in served and queue.delayed and not queue.paused:
                after: str | None = None
                while True:
                    page = await self.app.queue(queue.name).jobs(State.DELAYED, after=after)
                    found = [
                        job.run_at
                        for job in page.jobs
                        if job.run_at is not None and (schedules or slot_of(job.id) is None)
                    ]
                    moments += found[:1]
                    if found or page.next is None:
                        break
                    after = page.next
        return min(moments, default=None)


class MemoryApp(App, Bench):
    """An app for tests: its store is in memory, empty, and ends with it."""

    def __init__(self, *, clock: ManualClock | None = None) -> None:
        """Make an app that heeds neither the environment nor a `toril.toml`.

        A job that it has no task for fails at once: a test has no other worker to wait for.

        Parameters:
            clock: Default: one of its own.
        """
        clock = clock or ManualClock()
        App.__init__(self, MEMORY, clock=clock, settings=Settings(), unknown_tasks="fail")
        Bench.__init__(self, self, clock)


class in_memory:  # noqa: N801 - used like a function
    """Give an app an empty store in memory for a while: `with` or `async with`.

    Its own store is closed meanwhile, and not touched. In asynchronous tests use `async with`.
    """

    def __init__(
        self,
        app: App,
        *,
        clock: ManualClock | None = None,
        same_thread: bool = False,
        eager: bool = False,
    ) -> None:
        """Prepare the swap.

        Parameters:
            app: Any app, such as the one that your program defines.
            clock: Default: one that starts anew.
            same_thread: Run plain functions in the test's own thread, so that they see its
                transaction. For plain tests. An app of `toril.contrib.django` always does so, in
                asynchronous tests as well, and its async functions see the transaction too.
            eager: Run jobs at once: each call that ends in `_sync` returns when nothing is ready
                any more. In the same thread. `Bench.ran` has what happened.
        """
        self._app = app
        self._clock = clock or ManualClock()
        self._same_thread = same_thread or eager
        self._eager = eager

    def __enter__(self) -> Bench:
        self._app.close_sync()
        return self._swap()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._app._producer.after_sync = None
        self._app.close_sync()
        self._app.url, self._app._clock, self._app._unknown_tasks = self._own

    async def __aenter__(self) -> Bench:
        if self._same_thread and not hasattr(self._app, "_caller_in_tests"):
            name = "eager" if self._eager else "same_thread"
            raise InvalidOptionError(
                f"{name}=True in an asynchronous test: its thread is busy with the event loop; use"
                " 'with in_memory(...)' in a plain test, or run_until_idle() without it"
            )
        await self._app.close()
        return self._swap()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._app._producer.after_sync = None
        await self._app.close()
        self._app.url, self._app._clock, self._app._unknown_tasks = self._own

    def _swap(self) -> Bench:
        self._own = (self._app.url, self._app._clock, self._app._unknown_tasks)
        self._app.url, self._app._clock, self._app._unknown_tasks = MEMORY, self._clock, "fail"
        bench = Bench(self._app, self._clock, same_thread=self._same_thread)
        if self._eager:
            self._app._producer.after_sync = bench._run_now
        return bench


async def _stay() -> bool:
    """Leave what is delayed."""
    return False
