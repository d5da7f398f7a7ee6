"""A store that does not answer: pauses between tries, and the time after which a worker gives up.

The pauses grow and are jittered, so that many workers do not try in step.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from toril.core.errors import BackendError
from toril.core.loggers import logger

log = logger("toril.worker")

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


class Outage:
    """Whether the store answers one worker, and if not, since when."""

    def __init__(self, try_again: Callable[[], None]) -> None:
        """Make one for a store that answers.

        Parameters:
            try_again: Called on the event loop when a pause has ended.
        """
        self._try_again = try_again
        self._loop = asyncio.get_running_loop()
        self._next_pause_s = FIRST_PAUSE_S
        self.pause: asyncio.TimerHandle | None = None
        """Runs while the next try has to wait."""
        self.error: BackendError | None = None
        """Why the store does not answer. None: it does."""
        self.since_s = 0.0
        """When the outage began, on `time.monotonic`."""

    def failed(self, error: BackendError) -> None:
        """Note that the store did not answer, and pause."""
        if self.error is None:
            log.error("the store does not answer: %s", error)
            self.since_s = time.monotonic()
        self.error = error
        if self.pause is None:
            pause_s = self._next_pause_s * (0.5 + random.random())  # noqa: S311 - spread only
            self.pause = self._loop.call_later(pause_s, self._end_pause)
            self._next_pause_s = min(self._next_pause_s * 2, LONGEST_PAUSE_S)

    def over(self) -> None:
        """Note that the store answers again."""
        log.warning("the store answers again")
        self.error = None
        self._next_pause_s = FIRST_PAUSE_S

    def close(self) -> None:
        """Stop the pause, without another try."""
        if self.pause is not None:
            self.pause.cancel()
            self.pause = None

    async def watch(self, limit_s: float, give_up: Callable[[BackendError], None]) -> None:
        """Return once an outage has lasted too long.

        Parameters:
            limit_s: How long an outage may last, in seconds.
            give_up: Called with the store's error then.
        """
        while True:
            await asyncio.sleep(min(1.0, limit_s / 4))
            error = self.error
            if error is not None and time.monotonic() - self.since_s > limit_s:
                log.critical("the store did not answer for %s s; giving up", limit_s)
                give_up(error)
                return

    def _end_pause(self) -> None:
        self.pause = None
        self._try_again()
