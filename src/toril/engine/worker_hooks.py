"""Tells hooks of a worker itself: `drained`, `renewed`, `blocked`, `closed`.

What nobody listens to costs a look at a set.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from toril.engine.hooks import Hooks
from toril.engine.judging import describe


class WorkerHooks:
    """The hooks of one worker about itself. Made on its loop."""

    def __init__(self, hooks: Hooks, worker_id: str) -> None:
        self._hooks = hooks
        self._worker_id = worker_id
        self._loop = asyncio.get_running_loop()

    def drained(self) -> None:
        """Tell that it has run jobs, and there is nothing more that it can take."""
        if "drained" in self._hooks.wanted:
            self._hooks.tell("drained", worker_id=self._worker_id)

    def renewed(self, count: int) -> None:
        """Tell how many leases were renewed. From the lease thread."""
        if count and "renewed" in self._hooks.wanted:
            tell = partial(self._hooks.tell, "renewed", worker_id=self._worker_id, count=count)
            self._loop.call_soon_threadsafe(tell)

    def blocked(self, culprit: str | None, duration_s: float) -> None:
        """Tell which task has blocked the event loop, and for how long, in seconds."""
        self._hooks.tell("blocked", reason=culprit, duration_s=duration_s)

    async def closed(self, error: BaseException | None, *, timeout_s: float) -> None:
        """Tell that it has ended, and by which error if by one; wait for the hooks."""
        if "closed" in self._hooks.wanted:
            why: dict[str, Any] = {}
            if error is not None:
                why = {"error": error, "reason": describe(error)}
            self._hooks.tell("closed", worker_id=self._worker_id, **why)
            await self._hooks.finish(timeout_s)
