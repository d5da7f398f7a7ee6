"""Notices that the store's server is away, so that a request need not wait as long as it may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from toril.app import App
from toril.core.errors import BackendError, StoreUnreachableError

T = TypeVar("T")

LOOK_AFTER_S = 1.0
"""A request that takes longer makes us ask whether the store answers at all."""
ANSWERS_WITHIN_S = 0.6
"""How long the cheapest question there is may take. Together well below 2 s."""


class StoreWatch:
    """Looks whether a store answers; one look serves all requests that wait."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._look: asyncio.Task[bool] | None = None

    async def run(self, work: Awaitable[T]) -> T:
        """Wait for a request's work as long as the store answers.

        Raises:
            StoreUnreachableError: The store does not answer; the work was cancelled. It may have
                been done.
        """
        task = asyncio.ensure_future(work)
        try:
            while True:
                await asyncio.wait([task], timeout=LOOK_AFTER_S)
                if task.done():
                    return task.result()
                if await self._is_away() and not task.done():
                    where = self._app.backend().url
                    raise StoreUnreachableError(
                        f"{where} does not answer. What was asked may have been done: look, and"
                        " ask again",
                        sent=True,
                    )
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def _is_away(self) -> bool:
        # A file has no server that could be away: what is slow there is at work.
        if "foreign_queues" not in self._app.backend().capabilities:
            return False
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._ask())
        return await asyncio.shield(self._look)

    async def _ask(self) -> bool:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await ask_little(self._app)
        except (BackendError, TimeoutError):
            return True
        return False


async def ask_little(app: App) -> None:
    """Ask the store the cheapest question there is.

    Raises:
        BackendError: It does not answer.
    """
    await app.backend().events.latest("toril-readiness")
