"""Calls for the same key at the same time become one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Flights:
    """The calls in flight, of any number of event loops."""

    def __init__(self) -> None:
        self._flying: dict[tuple[int, str], _Flight] = {}

    async def join(self, key: str, call: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what the call for this key returns: one that is in flight, or a new one.

        It goes on while anybody waits for it, whoever began it, and is cancelled with the last.
        """
        where = (id(asyncio.get_running_loop()), key)
        flight = self._flying.get(where)
        if flight is None:
            flight = self._flying[where] = _Flight(asyncio.ensure_future(_awaited(call)))
            flight.task.add_done_callback(lambda _: self._flying.pop(where, None))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                # Who asks from now on gets a call of its own, not one that is being cancelled.
                self._flying.pop(where, None)
                flight.task.cancel()


class _Flight:
    """A call and how many wait for it."""

    def __init__(self, task: asyncio.Task[bytes]) -> None:
        self.task = task
        self.waiting = 0


async def _awaited(call: Callable[[], Awaitable[bytes]]) -> bytes:
    return await call()
