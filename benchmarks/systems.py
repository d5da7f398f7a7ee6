"""What the figures of the example systems share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

DEADLINE_S = 3600.0


def time_ms(times_s: Sequence[float], share: float) -> float:
    """Return the time that this share of them is below, in milliseconds."""
    return sorted(times_s)[min(len(times_s) - 1, int(share * len(times_s)))] * 1000


async def until(is_so: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something is so.

    Raises:
        TimeoutError: It was not within an hour.
    """
    end_s = time.monotonic() + DEADLINE_S
    while not await is_so():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited an hour for {what}")
        await asyncio.sleep(0.05)
