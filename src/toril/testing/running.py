"""One run of an app in a test: worker after worker until there is nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from toril.app import App
from toril.core.errors import TorilError
from toril.engine.hooks import HookEvent
from toril.engine.runners.in_thread import PlainRunner
from toril.engine.worker import Worker
from toril.testing.ran import Ran


class StillRunningError(TorilError, TimeoutError):
    """The jobs of a test did not come to an end; the message says which, and what may help."""


class Run:
    """Worker after worker, and what they did."""

    def __init__(
        self,
        app: App,
        concurrency: int,
        max_attempts: int,
        threads: PlainRunner | None,
        ran: Sequence[Ran],
    ) -> None:
        """Prepare the run.

        Parameters:
            threads: What runs plain functions. None: threads of the worker.
            ran: Who is told what happened.
        """
        self.ran = ran
        self._threads = threads
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
        self._worker._threads = self._threads
        self._worker._companions = ()  # a test tells nobody of alerts
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
        """Count an attempt; end the run if there are too many."""
        self._attempts += 1
        if self._attempts > self._max_attempts and self._worker is not None:
            self._looping = StillRunningError(
                f"over {self._max_attempts:,} attempts, the last of {event.task!r}: does a task"
                " enqueue itself, or retry for ever?"
            )
            self._worker.stop(0.0)

    def ended(self, event: HookEvent) -> None:
        """Note how an attempt ended."""
        for ran in self.ran:
            ran._add(event)
