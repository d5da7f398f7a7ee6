"""Waiting for something to become true, with a deadline, in place of sleeping for a while."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

DEADLINE_S = 60.0
_PAUSE_S = 0.002


async def wait_until(
    predicate: Callable[[], object | Awaitable[object]],
    *,
    deadline_s: float = DEADLINE_S,
    what: str = "the condition",
) -> None:
    """Return once `predicate` is true; fail the test after the deadline, in seconds."""
    until_s = time.monotonic() + deadline_s
    while True:
        found = predicate()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if time.monotonic() > until_s:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        await asyncio.sleep(_PAUSE_S)


def wait_until_sync(
    predicate: Callable[[], object],
    *,
    deadline_s: float = DEADLINE_S,
    what: str = "the condition",
) -> None:
    """The same for tests without an event loop."""
    until_s = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() > until_s:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(_PAUSE_S)
