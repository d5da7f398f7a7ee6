"""`run_in="thread"`: waits for a function in a thread, and has it end when its attempt must.

A thread that is told to end, and does not, is interrupted; one that cannot be is left behind.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from toril.core.loggers import logger
from toril.engine.attempt import Attempt
from toril.engine.runners.threads import ThreadSlots

log = logger("toril.worker")

GRACE_S = 1.0
"""How long a thread has to end after it was told to, and again after it was interrupted."""


class PlainRunner(Protocol):
    """What runs the plain functions of one worker."""

    async def run(
        self, attempt: Attempt, function: Callable[..., Any], arguments: dict[str, Any]
    ) -> Any:
        """Return what the function returns. Cancelled: not before it has ended, or been left."""
        ...

    def close(self) -> None:
        """Let go of what it runs them in. Nothing may be running any more."""
        ...


class ThreadRunner:
    """Runs attempts of one worker in threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._slots = ThreadSlots(loop)

    async def run(
        self, attempt: Attempt, function: Callable[..., Any], arguments: dict[str, Any]
    ) -> Any:
        """Return what the function returns. Cancelled: not before it has ended, or been left."""
        call = self._slots.start(function, arguments)
        try:
            return await asyncio.shield(call.future)
        except asyncio.CancelledError:
            for push in (None, call.interrupt):
                if push is not None:
                    push()
                await _patience(call.future)
                if call.future.done():
                    break
            else:
                if call.abandon():
                    log.error(
                        "%s was told to end (%s) and does not; its thread is left behind",
                        attempt.label,
                        attempt.stop_reason,
                    )
            if call.future.done() and not call.future.cancelled():
                # Looked at in any case: what it raised after its end does not count.
                error = call.future.exception()
                if error is None and attempt.stop_kind == "released":
                    return call.future.result()  # it got ready before the worker stopped
            raise

    def close(self) -> None:
        """End the idle threads."""
        self._slots.close()


async def _patience(future: asyncio.Future[Any]) -> None:
    """Wait a little for a future, whatever cancellations arrive meanwhile."""
    until_s = time.monotonic() + GRACE_S
    while not future.done() and (left_s := until_s - time.monotonic()) > 0:
        try:
            await asyncio.wait([future], timeout=left_s)
        except asyncio.CancelledError:
            continue
