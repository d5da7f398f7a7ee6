"""Works the spool in this process while Redis is away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.worker import Worker
from toril.fallback.breaker import Breaker

log = logger("toril.fallback")

UNTIL_DONE_S = 7 * 24 * 3600.0
"""What runs when Redis comes back may end here."""
AGAIN_S = 1.0
"""Before another worker is made in place of one that failed."""


class HasWorkers(Protocol):
    """Counts workers."""

    beside: int


class LocalWork:
    """A worker of the spool, made anew for each outage. Runs beside a worker of Redis."""

    def __init__(
        self,
        breaker: Breaker,
        make: Callable[[], Worker],
        *,
        counted: HasWorkers | None = None,
    ) -> None:
        """Make it.

        Parameters:
            breaker: Says when Redis is away.
            make: Makes a worker of the spool.
            counted: Counts those of this process that run beside a worker of Redis.
        """
        self._counted = counted
        self._breaker = breaker
        self._make = make
        self._worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopped = False
        self._paused = False
        self._waiting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Work whenever Redis is away, until `stop` or cancelled."""
        if self._counted is None:
            await self._run()
            return
        self._counted.beside += 1
        try:
            await self._run()
        finally:
            self._counted.beside -= 1

    async def _run(self) -> None:
        while not self._stopped:
            waiting = self._waiting = asyncio.ensure_future(self._breaker.changes(away=True))
            try:
                await asyncio.wait([waiting])
            finally:
                waiting.cancel()
            if self._stopped:
                return
            try:
                worker = self._worker = self._make()
            except TorilError as error:
                log.error("this process cannot work the spool: %s", error)
                await self._breaker.changes(away=False)
                continue
            if self._paused:
                worker.pause()
            running = self._running = asyncio.create_task(worker.run(), name="toril-spool-worker")
            back = asyncio.create_task(self._breaker.changes(away=False))
            try:
                await asyncio.wait([running, back], return_when=asyncio.FIRST_COMPLETED)
                worker.stop(None if self._stopped else UNTIL_DONE_S)
                await running
            except TorilError as error:
                log.error("the spool's worker has ended: %s", error)
                await asyncio.sleep(AGAIN_S)
            except BaseException:
                running.cancel()
                with suppress(asyncio.CancelledError, TorilError):
                    await running
                raise
            finally:
                back.cancel()
                self._worker = None

    def stop(self, deadline_s: float | None = None) -> None:
        """Take no more jobs, and let running ones end until the deadline."""
        self._stopped = True
        if self._waiting is not None:
            self._waiting.cancel()
        if self._worker is not None:
            self._worker.stop(deadline_s)

    def pause(self) -> None:
        """Start no jobs until `resume`."""
        self._paused = True
        if self._worker is not None:
            self._worker.pause()

    def resume(self) -> None:
        """Start jobs again."""
        self._paused = False
        if self._worker is not None and self._worker.paused:
            self._worker.resume()

    async def finish(self) -> None:
        """Wait until no job runs here, after `stop`."""
        if self._running is not None:
            await asyncio.wait([self._running])


class ThreadWork:
    """The same in a thread of its own, for a process that has no worker."""

    def __init__(self, work: LocalWork) -> None:
        self._work = work
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="toril-spool-worker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        async def work() -> None:
            self._loop = asyncio.get_running_loop()
            await self._work.run()

        with suppress(asyncio.CancelledError):
            asyncio.run(work())

    def stop(self, deadline_s: float) -> None:
        """End it, and wait until it has."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._work.stop, deadline_s)
        self._thread.join(deadline_s + 5.0)
