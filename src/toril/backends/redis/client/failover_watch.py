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

from toril.backends.redis.client.address import Endpoint
from toril.backends.redis.client.connection import Connection
from toril.backends.redis.client.dedicated_connection import DedicatedConnection
from toril.backends.redis.client.protocol import pack
from toril.backends.redis.client.topology import REPLACED, Topology
from toril.core.errors import TorilError

PULSE_S = 2.0
"""Between two pings of a server on which connections block, in seconds."""
MAX_LOOKS = 15
"""How often lost replicas make us ask for the primary. After that, so few are taken as normal."""
_PING = pack(("PING",))
_ROLE = pack(("ROLE",))


class FailoverWatch:
    """The open blocking connections. Use it in their loop's thread only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        topology: Topology,
        send: Callable[[bytes, str], Awaitable[object]],
    ) -> None:
        """Make an empty list.

        Parameters:
            topology: Where the servers are.
            send: Sends a packed command to the server that has a key, by another connection.
        """
        self._loop = loop
        self._topology = topology
        self._send = send
        self._keys: dict[DedicatedConnection, str] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._asking: dict[Endpoint | None, asyncio.Task[None]] = {}
        self._looks = 0
        topology.on_changed = self._leave_replaced

    def add(self, blocking: DedicatedConnection, key: str) -> None:
        """Watch a connection to the server that has a key, until the connection is lost."""

        def lost() -> None:
            self._keys.pop(blocking, None)

        blocking.connection.on_lost = lost
        self._keys[blocking] = key
        if self._timer is None:
            self._timer = self._loop.call_later(PULSE_S, self._pulse)

    def connections(self) -> list[Connection]:
        """Return the connections."""
        return [blocking.connection for blocking in self._keys]

    def close(self) -> None:
        """Close them all at once."""
        if self._timer is not None:
            self._timer.cancel()
        for asking in self._asking.values():
            asking.cancel()
        for connection in self.connections():
            connection.abort("the client was closed", by_us=True)

    def _leave_replaced(self) -> None:
        for blocking, key in tuple(self._keys.items()):
            if not self._topology.leads(blocking.connection, key):
                blocking.connection.abort(REPLACED)

    def _pulse(self) -> None:
        self._timer = None
        if not self._keys:
            return
        self._timer = self._loop.call_later(PULSE_S, self._pulse)
        if not self._topology.may_move:
            return
        servers = {one.connection.endpoint: key for one, key in self._keys.items()}
        for endpoint, key in servers.items():
            connection = self._topology.managed_for(key).connection
            if connection is not None and connection.silent_s < PULSE_S:
                continue
            if endpoint not in self._asking:
                self._asking[endpoint] = self._loop.create_task(
                    self._ask(endpoint, connection, key),
                    name="toril-redis-pulse",
                    context=contextvars.Context(),
                )

    async def _ask(
        self, endpoint: Endpoint | None, connection: Connection | None, key: str
    ) -> None:
        """Ping the server. If it does not answer, the connection notices as for any call."""
        try:
            with contextlib.suppress(TorilError):
                if connection is None or connection.replicas is None:
                    await self._send(_PING, key)
                else:
                    await self._count_replicas(
                        connection, connection.replicas, await self._send(_ROLE, key)
                    )
        finally:
            self._asking.pop(endpoint, None)

    async def _count_replicas(self, connection: Connection, before: int, said: object) -> None:
        """Ask for the primary if this one lost replicas: one of them may have been promoted."""
        role, replicas = "", None
        if isinstance(said, list):
            role, replicas = said[0], said[2]
        if role != "master" or not isinstance(replicas, list):
            connection.retire()
        elif len(replicas) >= before:
            connection.replicas, self._looks = len(replicas), 0
        elif self._looks < MAX_LOOKS:
            self._looks += 1
            await self._topology.look()
