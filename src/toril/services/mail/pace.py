"""Spreads mails over time, so that a server is given no more a second than it takes."""

from __future__ import annotations

import asyncio
import time

from toril.core.checks import require


class Pace:
    """Lets one through at a time, evenly. Of one process: a fleet sends as many times as much."""

    def __init__(self, max_per_s: float | None) -> None:
        """Make it.

        Parameters:
            max_per_s: How many a second. None: no limit.
        """
        require(max_per_s is None or max_per_s > 0, "max_per_s", max_per_s, "above 0, or None")
        self._apart_s = 0.0 if max_per_s is None else 1.0 / max_per_s
        self._next_s = 0.0

    async def wait(self) -> None:
        """Return when the next one may go."""
        if not self._apart_s:
            return
        now_s = time.monotonic()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + self._apart_s  # before any wait, so that each has a turn of its own
        if at_s > now_s:
            await asyncio.sleep(at_s - now_s)
