"""Runs an app's jobs in a test: a real worker on a real store in memory, until it is idle.

Nothing is faked: states, JSON and runners are those of production. Only time differs: it stands
still until the test moves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType

from toril.app import App
from toril.core.clock import epoch_ms, moment
from toril.core.durations import seconds
from toril.core.errors import JobFailedError, TorilError
from toril.engine.hooks import HookEvent
from toril.engine.schedules.record import slot_of
from toril.engine.states import State
from toril.engine.worker import Worker
from toril.settings import Settings
from toril.testing.clock import ManualClock

MEMORY = "sqlite://:memory:"


class StillRunningError(TorilError, TimeoutError):
    """The jobs of a test did not come to an end; the message says which, and what may help."""


@dataclass(slots=True)
class Ran:
    """What happened while an app was run until it was idle, in that order."""

    completed: list[HookEvent] = field(default_factory=list)
    """Jobs that completed: `task`, `job_id`, `result` (JSON text) and so on."""
    failed: list[HookEvent] = field(default_factory=list)
    """Jobs that failed for good: `reason`, and `error` as it was raised."""
    retried: list[HookEvent] = field(default_factory=list)
    """Attempts that failed and are followed by another."""

    def raise_errors(self) -> None:
        """Raise for the first job that failed; nothing if none did.

        Raises:
            JobFailedError: With what the task raised as its cause.
        """
        for event in self.failed:
            raise JobFailedError(
                f"{event.task} failed: {event.reason}",
                job_id=event.job_id or "",
                queue=event.queue or "",
            ) from event.error


class Bench:
    """An app under test: its clock, and a worker whenever the test wants one."""

    def __init__(self, app: App, clock: ManualClock) -> None:
        self._app = app
        self.clock = clock
        """The app's time, which the test moves."""

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
        run = _Run(self.app, concurrency, max_attempts)
        hooks = self.app._hooks
        # Each run is a worker process, however many workers it takes.
        await self.app._life_cycle.enter()
        try:
            with hooks.listening("active", run.began), hooks.listening("completed", run.completed):
                with hooks.listening("failed", run.failed), hooks.listening("retried", run.retried):
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
        return run.ran

    def run_until_idle_sync(
        self,
        *,
        advance: bool = False,
        concurrency: int = 1,
        timeout_s: float = 30.0,
        max_attempts: int = 10_000,
    ) -> Ran:
        """The same for plain tests."""
        return self.app._producer.run_sync(
            self.run_until_idle(
                advance=advance,
                concurrency=concurrency,
                timeout_s=timeout_s,
                max_attempts=max_attempts,
            )
        )

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

    def __init__(self, app: App, *, clock: ManualClock | None = None) -> None:
        """Prepare the swap.

        Parameters:
            app: Any app, such as the one that your program defines.
            clock: Default: one that starts anew.
        """
        self._app = app
        self._clock = clock or ManualClock()

    def __enter__(self) -> Bench:
        self._app.close_sync()
        return self._swap()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._app.close_sync()
        self._app.url, self._app._clock, self._app._unknown_tasks = self._own

    async def __aenter__(self) -> Bench:
        await self._app.close()
        return self._swap()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._app.close()
        self._app.url, self._app._clock, self._app._unknown_tasks = self._own

    def _swap(self) -> Bench:
        self._own = (self._app.url, self._app._clock, self._app._unknown_tasks)
        self._app.url, self._app._clock, self._app._unknown_tasks = MEMORY, self._clock, "fail"
        return Bench(self._app, self._clock)


async def _stay() -> bool:
    """Leave what is delayed."""
    return False


class _Run:
    """One call of `run_until_idle`: worker after worker, and what they did."""

    def __init__(self, app: App, concurrency: int, max_attempts: int) -> None:
        self.ran = Ran()
        self._app = app
        self._concurrency = concurrency
        self._max_attempts = max_attempts
        self._attempts = 0
        self._looping: StillRunningError | None = None
        self._worker: Worker | None = None
        self._stuck: list[str] = []

    async def once(self) -> bool:
        """Run a worker until it finds nothing; return whether it began anything."""
        before = self._attempts
        self._worker = self._app.worker(concurrency=self._concurrency, profile="all")
        running = asyncio.ensure_future(self._worker.run(until_idle=True))
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            self._stuck = self._worker.running
            running.cancel()
            await asyncio.wait([running])
            raise
        if self._looping is not None:
            raise self._looping
        return self._attempts > before

    def doing(self) -> str:
        """Return what was under way when it was given up."""
        return f"still runs {', '.join(self._stuck)}" if self._stuck else "jobs keep coming"

    def began(self, event: HookEvent) -> None:
        self._attempts += 1
        if self._attempts > self._max_attempts and self._worker is not None:
            self._looping = StillRunningError(
                f"over {self._max_attempts:,} attempts, the last of {event.task!r}: does a task"
                " enqueue itself, or retry for ever?"
            )
            self._worker.stop(0.0)

    def completed(self, event: HookEvent) -> None:
        self.ran.completed.append(event)

    def failed(self, event: HookEvent) -> None:
        self.ran.failed.append(event)

    def retried(self, event: HookEvent) -> None:
        self.ran.retried.append(event)
