"""A connection apart, for commands that block: one caller, one command at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from toril.backends.redis.link import Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, Word, pack
from toril.backends.redis.replies import code, is_read_only
from toril.core.errors import BackendClosedError, BackendError, StoreUnreachableError, TorilError

GUARD_S = 2.0
"""How much longer than the server was asked to block its answer may take."""


class Line:
    """A connection to the server of one key. It is not made anew: who needs another opens one."""

    def __init__(
        self,
        link: Link,
        number: int | None,
        *,
        refusal: Callable[[Link, ReplyError], TorilError],
        tell: Callable[[bytes], Awaitable[object]],
    ) -> None:
        """Take over an open connection.

        Parameters:
            link: The connection.
            number: What the server calls it. None: the user may not ask, or may not unblock.
            refusal: Makes an error of what the server refused.
            tell: Sends the same server a command by another connection.
        """
        self.id = number
        """What `CLIENT LIST` and `CLIENT UNBLOCK` call it."""
        self.link = link
        self._refusal = refusal
        self._tell = tell

    @property
    def closed(self) -> bool:
        """Whether it takes no more commands."""
        return self.link.closed

    @property
    def can_unblock(self) -> bool:
        """Whether `CLIENT UNBLOCK` can end a blocking command early. If not, block only briefly."""
        return self.id is not None

    async def call(self, *command: Word, timeout_s: float) -> Any:
        """Send a command that may block, and return its reply.

        A caller that is cancelled meanwhile closes the line: the answer would be somebody else's.

        Parameters:
            command: The command.
            timeout_s: For how long the server was asked to block, in seconds.

        Raises:
            StoreUnreachableError: The line is closed; it broke, or nothing came in that time and
                two seconds more. Open another one.
            BackendClosedError: The client was closed meanwhile.
        """
        link = self.link
        try:
            return await self._wait(link.send, pack(command), timeout_s=timeout_s)
        except ReplyError as error:
            self._leave_if_moved(error)
            raise self._refusal(link, error) from None

    async def call_both(
        self, block: Sequence[Word], then: Sequence[Word], *, timeout_s: float
    ) -> tuple[Any, Any]:
        """Send a command that may block and one that the server runs when that has ended.

        Parameters:
            block: The first.
            then: The second; it is run whatever became of the first.
            timeout_s: For how long the server was asked to block, in seconds.

        Returns:
            Both replies. A refusal is a `ReplyError` among them.

        Raises:
            StoreUnreachableError: As `call`.
            BackendClosedError: As `call`.
        """

        def send(data: bytes) -> asyncio.Future[list[Any]]:
            return self.link.send_many(data, 2)

        both = pack(tuple(block)) + pack(tuple(then))
        first, second = await self._wait(send, both, timeout_s=timeout_s)
        for reply in (first, second):
            if isinstance(reply, ReplyError):
                self._leave_if_moved(reply)
        return first, second

    async def _wait(
        self, send: Callable[[bytes], asyncio.Future[Any]], data: bytes, *, timeout_s: float
    ) -> Any:
        link = self.link
        if link.closed:
            raise self._closed("the line is closed")
        try:
            async with asyncio.timeout(timeout_s + GUARD_S):
                return await send(data)
        except TimeoutError:
            link.abort("no answer")
            raise StoreUnreachableError(
                f"{link.shown}: no answer within {timeout_s:g} s and {GUARD_S:g} s more. The"
                " outcome of the call is unknown: it may have been done.",
                sent=True,
            ) from None
        except asyncio.CancelledError:
            link.abort("its caller gave up")
            raise
        except NotWrittenError:
            raise self._closed("the connection was lost") from None

    def _leave_if_moved(self, error: ReplyError) -> None:
        text = str(error)
        if is_read_only(text) or code(text) in ("MOVED", "ASK"):
            self.link.abort("the server has this key no more")

    async def unblock(self) -> None:
        """Have the server end the command that blocks now: it answers as if its time were over.

        Nothing happens if the user lacks the right to it.

        Raises:
            BackendError: The server could not be told.
        """
        if not self.closed and self.id is not None:
            await self._tell(pack(("CLIENT", "UNBLOCK", self.id)))

    async def close(self) -> None:
        """Close it, from any loop. Twice is fine."""
        await self.link.close("the line was closed")

    def _closed(self, reason: str) -> BackendError:
        shown = self.link.shown
        if self.link.by_us:
            return BackendClosedError(f"{shown}: the store was closed")
        return StoreUnreachableError(f"{shown}: {reason}. Nothing was done.", sent=False)
