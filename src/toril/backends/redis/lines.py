"""Watches the connections of one event loop that block on a command, or idle.

Silence is normal on these connections. So it does not show that their server froze, or was cut off
from its replicas. Behind Sentinel and in a Cluster the server is therefore pinged regularly, on the
connection for calls. After a failover these connections are closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable

from toril.backends.redis.address import Place
from toril.backends.redis.line import Line
from toril.backends.redis.link import Link
from toril.backends.redis.protocol import pack
from toril.backends.redis.ways import REPLACED, Ways
from toril.core.errors import TorilError

PULSE_S = 2.0
"""Between two pings of a server on which connections block, in seconds."""
MOST_LOOKS = 15
"""How often lost replicas make us ask for the primary. After that, so few are taken as normal."""
_PING = pack(("PING",))
_ROLE = pack(("ROLE",))


class Lines:
    """The open blocking connections. Use it in their loop's thread only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ways: Ways,
        send: Callable[[bytes, str], Awaitable[object]],
    ) -> None:
        """Make an empty list.

        Parameters:
            ways: Where the servers are.
            send: Sends a packed command to the server that has a key, by another connection.
        """
        self._loop = loop
        self._ways = ways
        self._send = send
        self._keys: dict[Line, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asking: dict[Place | None, asyncio.Task[None]] = {}
        self._looks = 0
        ways.on_changed = self._leave_replaced

    def add(self, line: Line, key: str) -> None:
        """Watch a connection to the server that has a key, until the connection is lost."""

        def lost() -> None:
            self._keys.pop(line, None)

        line.link.on_lost = lost
        self._keys[line] = key
        if self._timer is None:
            self._timer = self._loop.call_later(PULSE_S, self._pulse)

    def links(self) -> list[Link]:
        """Return the connections."""
        return [line.link for line in self._keys]

    def close(self) -> None:
        """Close them all at once."""
        if self._timer is not None:
            self._timer.cancel()
        for asking in self._asking.values():
            asking.cancel()
        for link in self.links():
            link.abort("the client was closed", by_us=True)

    def _leave_replaced(self) -> None:
        for line, key in tuple(self._keys.items()):
            if not self._ways.leads(line.link, key):
                line.link.abort(REPLACED)

    def _pulse(self) -> None:
        self._timer = None
        if not self._keys:
            return
        self._timer = self._loop.call_later(PULSE_S, self._pulse)
        if not self._ways.may_move:
            return
        for place, key in {line.link.place: key for line, key in self._keys.items()}.items():
            link = self._ways.route(key).link
            if link is not None and link.silent_s < PULSE_S:
                continue
            if place not in self._asking:
                self._asking[place] = self._loop.create_task(
                    self._ask(place, link, key),
                    name="toril-redis-pulse",
                    context=contextvars.Context(),
                )

    async def _ask(self, place: Place | None, link: Link | None, key: str) -> None:
        """Ping the server. If it does not answer, the link notices as for any call."""
        try:
            with contextlib.suppress(TorilError):
                if link is None or link.replicas is None:
                    await self._send(_PING, key)
                else:
                    await self._count_replicas(link, link.replicas, await self._send(_ROLE, key))
        finally:
            self._asking.pop(place, None)

    async def _count_replicas(self, link: Link, before: int, said: object) -> None:
        """Ask for the primary if this one lost replicas: one of them may have been promoted."""
        role, replicas = "", None
        if isinstance(said, list):
            role, replicas = said[0], said[2]
        if role != "master" or not isinstance(replicas, list):
            link.retire()
        elif len(replicas) >= before:
            link.replicas, self._looks = len(replicas), 0
        elif self._looks < MOST_LOOKS:
            self._looks += 1
            await self._ways.look()
