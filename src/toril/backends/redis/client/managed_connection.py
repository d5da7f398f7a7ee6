"""The connection to one server. It is reopened with backoff after it was lost."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import random
from collections.abc import Awaitable, Callable
from typing import cast

from toril.backends.redis.client.connection import Connection
from toril.core.errors import StoreUnreachableError, TorilError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
"""Between two attempts to connect; doubled each time, and moved by half of it either way."""


class ManagedConnection:
    """One server's connection. Used in its loop's thread only."""

    def __init__(
        self,
        shown: str,
        opener: Callable[[], Awaitable[Connection | None]],
        changed: Callable[[], None],
    ) -> None:
        """Make it; nothing is opened yet.

        Parameters:
            shown: The server, as messages may name it.
            opener: Makes one attempt to connect. None: it put the connection elsewhere.
            changed: Called when `connection` has changed.
        """
        self.connection: Connection | None = None
        """The open connection, if there is one."""
        self._shown = shown
        self._opener = opener
        self._changed = changed
        self._attempting: asyncio.Task[TorilError | None] | None = None
        self._waiting: dict[asyncio.Future[Exception | None], None] = {}
        self._failures = 0
        self._not_before_s = 0.0
        self._trouble: TorilError | None = None

    async def connect(self, until_s: float) -> None:
        """Make one attempt to connect, or wait for the one under way.

        Parameters:
            until_s: When to stop waiting, by the loop's clock. The attempt goes on.

        Raises:
            TorilError: Why it failed.
        """
        loop = asyncio.get_running_loop()
        if self._attempting is None or self._attempting.done():
            # A context of its own: the connection would keep the caller's, and all in it, alive.
            self._attempting = loop.create_task(
                self._attempt(loop), name="toril-redis-connect", context=contextvars.Context()
            )
            self._attempting.add_done_callback(self._ended)
        # Not `asyncio.wait`: with many who wait, leaving it costs each a look at all the others.
        future: asyncio.Future[Exception | None] = loop.create_future()
        self._waiting[future] = None
        timer = loop.call_at(until_s, self._time_is_over, future)
        try:
            trouble = await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)
        if trouble is not None:
            raise copy.copy(trouble)  # several wait for it, and each raises its own

    def take(self, connection: Connection) -> None:
        """Use this connection from now on."""
        before, self.connection = self.connection, connection
        connection.on_lost = lambda: self._lost(connection)
        self._changed()
        if before is not None:  # one attempt overtook another
            before.retire()

    def stop(self) -> None:
        """Make no more attempts. The connection is left as it is."""
        if self._attempting is not None:
            self._attempting.cancel()

    async def _attempt(self, loop: asyncio.AbstractEventLoop) -> TorilError | None:
        pause_s = self._not_before_s - loop.time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        try:
            connection = await self._opener()
        except TorilError as error:
            longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures)
            jitter = random.uniform(0.5, 1.5)  # noqa: S311 - only to spread the attempts
            self._not_before_s = loop.time() + longest_s * jitter
            self._failures = min(self._failures + 1, 16)
            self._trouble = error
            return error
        self._failures = 0
        self._trouble = None
        if connection is not None and not connection.closed:
            self.take(connection)
        return None

    def _ended(self, attempting: asyncio.Task[TorilError | None]) -> None:
        """Tell those who wait for an attempt how it went."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        trouble: BaseException | None
        if attempting.cancelled():
            trouble = self._too_late()
        else:
            trouble = attempting.exception() or attempting.result()
        for future in waiting:
            if not future.done():
                future.set_result(cast("Exception | None", trouble))

    def _time_is_over(self, future: asyncio.Future[Exception | None]) -> None:
        if not future.done():
            future.set_result(self._trouble or self._too_late())

    def _too_late(self) -> StoreUnreachableError:
        return StoreUnreachableError(
            f"{self._shown}: cannot be reached: no connection in time.", sent=False
        )

    def _lost(self, connection: Connection) -> None:
        if self.connection is connection:
            self.connection = None
            self._changed()
