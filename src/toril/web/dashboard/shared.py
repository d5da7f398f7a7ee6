"""What all open pages share: figures that are read once for everybody, and kept for a moment.

Only pages that follow what happens take them, so that fifty of them cost the store what one costs.
Somebody who opens a page, or has just changed something, gets figures that are read then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Any, TypeVar

T = TypeVar("T")

MOST_KEPT = 2_000


class Shared:
    """Answers that are kept for some seconds."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, keep_s: float, read: Callable[[], Awaitable[T]]) -> T:
        """Return an answer: one that is young enough, or one that is read now for all who wait.

        Parameters:
            key: What it answers.
            keep_s: How old it may be, in seconds.
            read: Reads it anew. Must not depend on who asks.
        """
        kept = self._kept.get(key)
        if kept is None or monotonic() - kept[0] > keep_s:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = (monotonic(), asyncio.ensure_future(read()))
            self._kept[key] = kept
            kept[1].add_done_callback(lambda done: self._forget_failure(key, done))
        # Somebody who leaves must not take the answer from the others.
        answer: T = await asyncio.shield(kept[1])
        return answer

    def forget(self) -> None:
        """Read all answers anew: somebody has changed something."""
        self._kept.clear()

    def _forget_failure(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            kept = self._kept.get(key)
            if kept is not None and kept[1] is done:
                del self._kept[key]
