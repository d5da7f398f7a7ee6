"""Feeds an upload in parts, and ends it in order when its caller is cancelled.

An upload whose source fails is given up on the server, too. So a cancelled one is ended by its
source: a request that was only dropped would leave its parts on the server, where they cost money.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from toril.services.objects.content import Digest

T = TypeVar("T")

GIVE_UP_S = 10.0
"""How long a cancelled upload may take to be given up, in seconds."""


class Feed:
    """The blocks of an upload, one after the other.

    Parameters:
        first: The first blocks, already read.
        source: The others.
        digest: Takes all blocks.
        at_end: Called behind the last one; an error of its makes the upload fail.
    """

    def __init__(
        self,
        first: list[bytes | memoryview],
        source: AsyncGenerator[bytes | memoryview, None],
        digest: Digest,
        at_end: Callable[[], None],
    ) -> None:
        self._first = first
        self._source = source
        self._digest = digest
        self._at_end = at_end
        self._reading: asyncio.Future[bytes | memoryview | None] | None = None
        self._stopped = False

    def __aiter__(self) -> Feed:
        return self

    async def __anext__(self) -> bytes:
        if self._stopped:
            raise ConnectionAbortedError("the upload was cancelled")
        block: bytes | memoryview | None
        if self._first:
            block = self._first.pop(0)
        else:
            self._reading = asyncio.ensure_future(_next(self._source))
            try:
                block = await self._reading
            except asyncio.CancelledError:
                if self._stopped:
                    raise ConnectionAbortedError("the upload was cancelled") from None
                raise
        if block is None:
            self._at_end()
            raise StopAsyncIteration
        await self._digest.add_aside(block)
        return bytes(block)

    async def through(self, send: Callable[[Feed], Awaitable[T]]) -> T:
        """Send all blocks; if the caller is cancelled, end the upload first."""
        sending = asyncio.ensure_future(_awaited(send(self)))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            await self._stop(sending)
            raise

    async def _stop(self, sending: asyncio.Future[T]) -> None:
        self._stopped = True
        if self._reading is not None and not self._reading.done():
            self._reading.cancel()
        await asyncio.wait([sending], timeout=GIVE_UP_S)
        sending.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await sending


async def _next(source: AsyncGenerator[bytes | memoryview, None]) -> bytes | memoryview | None:
    return await anext(source, None)


async def _awaited(sending: Awaitable[T]) -> T:
    return await sending
