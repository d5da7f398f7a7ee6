"""How a worker stops: running jobs may end until a deadline, what is left is given back.

Each step is bounded in time: a store that is silent, or an attempt that does not end, cannot keep
a worker from leaving.
"""

from __future__ import annotations

import asyncio
import time

from toril.core.loggers import logger
from toril.engine.executor import Executor
from toril.engine.fetcher import Fetcher

log = logger("toril.worker")

FAREWELL_S = 5.0
"""How long released attempts have to end, and the store to take their outcomes, before the worker
leaves without them."""


class Stopping:
    """The way one worker stops."""

    def __init__(self, shutdown_s: float) -> None:
        """Make it.

        Parameters:
            shutdown_s: How long running jobs may go on, unless the request says otherwise.
        """
        self._shutdown_s = shutdown_s
        self.requested = asyncio.Event()
        """Set: the worker stops, and gives back what is claimed from here on."""
        self.begun = False
        """Whether `requested` is set, without a call: each claimed job asks."""
        self._hurry = asyncio.Event()

    def request(self, deadline_s: float | None = None) -> None:
        """Begin to stop. A second request gives back at once what still runs.

        Parameters:
            deadline_s: How long running jobs may go on, in seconds. Default: `shutdown_s`.
        """
        if self.requested.is_set():
            self._hurry.set()
            return
        if deadline_s is not None:
            self._shutdown_s = deadline_s
        self.begun = True
        self.requested.set()

    async def until_requested(self, fetching: asyncio.Task[None]) -> None:
        """Wait for the request.

        Raises:
            BackendError: Fetching has ended before, by this error.
        """
        requested = asyncio.create_task(self.requested.wait())
        try:
            await asyncio.wait([requested, fetching], return_when=asyncio.FIRST_COMPLETED)
        finally:
            requested.cancel()
        if fetching.done():
            await fetching  # raises what ended it

    async def let_jobs_end(self, fetcher: Fetcher, fetching: asyncio.Task[None]) -> None:
        """Wait for running jobs: until the deadline, or until the second request."""
        hurry = asyncio.create_task(self._hurry.wait())
        begin_s = time.monotonic()
        until_s = begin_s + self._shutdown_s
        reply_until_s = begin_s + FAREWELL_S  # a store that is silent is not waited for
        try:
            while (left_s := until_s - time.monotonic()) > 0 and (
                fetcher.busy or (fetcher.awaits_reply and time.monotonic() < reply_until_s)
            ):
                await asyncio.wait(
                    [hurry, fetching],
                    timeout=min(left_s, 0.02),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if hurry.done() or fetching.done():
                    break
        finally:
            hurry.cancel()

    async def give_back(
        self, executor: Executor, fetcher: Fetcher, fetching: asyncio.Task[None]
    ) -> None:
        """Give back the jobs that still run, and hand over what is to be handed over.

        Raises:
            BackendError: Fetching has ended by this error.
        """
        self.begun = True
        self.requested.set()  # from here on what is claimed goes back as well
        fetcher.quiet()
        left = list(executor.running.values())
        if left:
            log.warning("giving back %d jobs that still run", len(left))
        for attempt in left:
            attempt.stop("released", "the worker is stopping")
        ending = [attempt.task for attempt in left if attempt.task is not None]
        if ending:
            await asyncio.wait(ending, timeout=FAREWELL_S)
        for attempt in list(executor.running.values()):
            executor.abandon(attempt)
        fetcher.end()
        if fetching.cancelling():  # with all tasks of a program that ends; we are not done with it
            await asyncio.wait([fetching], timeout=FAREWELL_S)
        if fetching.cancelled():
            fetching = asyncio.create_task(fetcher.run(), name="toril-fetcher")
        await asyncio.wait([fetching], timeout=FAREWELL_S)
        if fetching.done():
            await fetching
        else:
            fetching.cancel()
