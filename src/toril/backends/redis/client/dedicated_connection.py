"""A connection for commands that block: one caller, one command at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from toril.backends.redis.client.connection import Connection, NotWrittenError
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.refusals import code, is_read_only
from toril.core.errors import BackendClosedError, BackendError, StoreUnreachableError, TorilError

GUARD_S = 2.0
"""How much longer than the server was asked to block its answer may take."""


class DedicatedConnection:
    """The port `BlockingConnection`."""

    def __init__(
        self,
        connection: Connection,
        number: int | None,
        *,
        refusal: Callable[[Connection, ReplyError], TorilError],
        tell: Callable[[bytes], Awaitable[object]],
    ) -> None:
        """Take over an open connection.

        Parameters:
            connection: The connection.
            number: What the server calls it. None: the user may not ask, or may not unblock.
            refusal: Makes an error of what the server refused.
            tell: Sends the same server a command by another connection.
        """
        self.id = number
        """What `CLIENT LIST` and `CLIENT UNBLOCK` call it."""
        self.connection = connection
        self._refusal = refusal
        self._tell = tell

    @property
    def closed(self) -> bool:
        return self.connection.closed

    @property
    def can_unblock(self) -> bool:
        return self.id is not None

    async def call(self, *command: Argument, timeout_s: float) -> Any:
        connection = self.connection
        try:
            return await self._wait(connection.send, pack(command), timeout_s=timeout_s)
        except ReplyError as error:
            self._leave_if_moved(error)
            raise self._refusal(connection, error) from None

    async def call_both(
        self, block: Sequence[Argument], then: Sequence[Argument], *, timeout_s: float
    ) -> tuple[Any, Any]:
        def send(data: bytes) -> asyncio.Future[list[Any]]:
            return self.connection.send_many(data, 2)

        both = pack(tuple(block)) + pack(tuple(then))
        first, second = await self._wait(send, both, timeout_s=timeout_s)
        for reply in (first, second):
            if isinstance(reply, ReplyError):
                self._leave_if_moved(reply)
        return first, second

    async def _wait(
        self, send: Callable[[bytes], asyncio.Future[Any]], data: bytes, *, timeout_s: float
    ) -> Any:
        connection = self.connection
        if connection.closed:
            raise self._closed("the connection is closed")
        try:
            async with asyncio.timeout(timeout_s + GUARD_S):
                return await send(data)
        except TimeoutError:
            connection.abort("no answer")
            raise StoreUnreachableError(
                f"{connection.shown}: no answer within {timeout_s:g} s and {GUARD_S:g} s more. The"
                " outcome of the call is unknown: it may have been done.",
                sent=True,
            ) from None
        except asyncio.CancelledError:
            connection.abort("its caller gave up")
            raise
        except NotWrittenError:
            raise self._closed("the connection was lost") from None

    def _leave_if_moved(self, error: ReplyError) -> None:
        text = str(error)
        if is_read_only(text) or code(text) in ("MOVED", "ASK"):
            self.connection.abort("the server has this key no more")

    async def unblock(self) -> None:
        if not self.closed and self.id is not None:
            await self._tell(pack(("CLIENT", "UNBLOCK", self.id)))

    async def close(self) -> None:
        await self.connection.close("it was closed")

    def _closed(self, reason: str) -> BackendError:
        shown = self.connection.shown
        if self.connection.by_us:
            return BackendClosedError(f"{shown}: the store was closed")
        return StoreUnreachableError(f"{shown}: {reason}. Nothing was done.", sent=False)
