"""Open connections to one mail server, which mail after mail uses.

A connection is given to one user at a time. It goes back only if its conversation ended well: after
an error, a time limit or a cancellation nobody knows what its server would answer next.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

CHECK_S = 5.0
"""How long the server may take to say that an idle connection still works, in seconds."""


class Lease:
    """A connection in use."""

    __slots__ = ("client", "idle_since_s", "mails", "reused", "sound")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.reused = False
        """Whether it was used before, so that the server may have hung up meanwhile."""
        self.sound = False
        """Set by its user at the end of a conversation that another may follow."""
        self.mails = 0
        self.idle_since_s = 0.0


class SmtpPool:
    """The connections of one process. Of another event loop, they are let go."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        *,
        max_connections: int,
        keep_s: float,
        check_after_s: float,
        max_mails: int,
    ) -> None:
        """Make a pool. It connects when it is asked.

        Parameters:
            connect: Opens a connection and signs in.
            max_connections: At once; who comes then, waits.
            keep_s: How long an unused connection stays open, in seconds. 0: it does not.
            check_after_s: One that was unused for so long is tried before it is used again.
            max_mails: Through one connection; many servers hang up after some number.
        """
        self._connect = connect
        self._max_connections = max_connections
        self._keep_s = keep_s
        self._check_after_s = check_after_s
        self._max_mails = max_mails
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = asyncio.Semaphore(max_connections)
        self._idle: list[Lease] = []
        self._expiring: asyncio.TimerHandle | None = None
        self.opened = 0
        """Connections that were made."""

    @contextlib.asynccontextmanager
    async def connection(self, *, fresh: bool = False) -> AsyncIterator[Lease]:
        """Lend a connection.

        Parameters:
            fresh: It must not be one that was used before.

        Raises:
            Exception: What `connect` raises.
        """
        self._come_to_this_loop()
        async with self._room:
            lease = None if fresh else await self._take_idle()
            if lease is None:
                lease = Lease(await self._connect())
                self.opened += 1
            lease.sound = False
            try:
                yield lease
            finally:
                lease.mails += 1
                lasts = self._keep_s > 0 and lease.mails < self._max_mails
                if lease.sound and lasts and lease.client.is_connected:
                    lease.reused, lease.idle_since_s = True, time.monotonic()
                    self._idle.append(lease)
                    self._plan_expiry()
                elif lease.sound:
                    await _say_goodbye(lease.client)
                else:
                    lease.client.close()

    async def close(self) -> None:
        """Close the connections that nobody uses; those in use close when they come back."""
        idle, self._idle = self._idle, []
        if self._expiring is not None:
            self._expiring.cancel()
            self._expiring = None
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*(_say_goodbye(lease.client) for lease in idle))
        else:
            for lease in idle:
                _drop(lease.client)

    async def _take_idle(self) -> Lease | None:
        """Return the connection that was used last, if it still works."""
        while self._idle:
            lease = self._idle.pop()
            idle_s = time.monotonic() - lease.idle_since_s
            if idle_s >= self._keep_s or not lease.client.is_connected:
                lease.client.close()
                continue
            if idle_s >= self._check_after_s and not await _answers(lease.client):
                lease.client.close()
                continue
            return lease
        return None

    def _plan_expiry(self) -> None:
        if self._expiring is None:
            loop = asyncio.get_running_loop()
            self._expiring = loop.call_later(self._keep_s, self._expire)

    def _expire(self) -> None:
        """Close what was unused for long enough, without a word: nobody waits here."""
        self._expiring = None
        now_s = time.monotonic()
        old = [lease for lease in self._idle if now_s - lease.idle_since_s >= self._keep_s]
        self._idle = [lease for lease in self._idle if lease not in old]
        for lease in old:
            lease.client.close()
        if self._idle:
            self._plan_expiry()

    def _come_to_this_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        for lease in self._idle:
            _drop(lease.client)
        self._idle, self._expiring = [], None
        self._room = asyncio.Semaphore(self._max_connections)
        self._loop = loop


async def _answers(client: Any) -> bool:
    """Whether the server still answers on a connection."""
    try:
        await client.noop(timeout=CHECK_S)
    except Exception:  # whatever it is, another connection is made
        return False
    return True


async def _say_goodbye(client: Any) -> None:
    transport = client.transport
    with contextlib.suppress(Exception):  # the mail is served; the server may be gone
        await client.quit(timeout=CHECK_S)
    client.close()
    if transport is not None:
        transport.abort()  # TLS has a goodbye of its own, which not every server answers
    await asyncio.sleep(0)


def _drop(client: Any) -> None:
    with contextlib.suppress(RuntimeError):  # its event loop is closed
        client.close()
