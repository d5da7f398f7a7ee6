"""The servers as one event loop knows them: which there are, and which has which key.

One server, a primary that sentinels name, or the nodes of a Cluster. `routing.py` sends commands
over the connections that it gets here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from toril.backends.redis.client import slot_discovery
from toril.backends.redis.client.address import Address, Endpoint, show_endpoint
from toril.backends.redis.client.cluster import (
    SLOTS,
    Slots,
    host_of,
    parse_redirection,
    slot_of,
)
from toril.backends.redis.client.connecting import (
    CLIENT_NAME,
    Opened,
    follow,
    open_any,
    open_connection,
)
from toril.backends.redis.client.connection import OVERDUE_S, Connection, NotWrittenError
from toril.backends.redis.client.managed_connection import ManagedConnection
from toril.backends.redis.client.port import Script
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.sentinels import SentinelDiscovery
from toril.backends.redis.client.server_info import ServerInfo
from toril.core.errors import BackendClosedError, StoreUnreachableError, TorilError

REPLACED = "another server took over"
_REFRESH_S = 1.0
"""Redirections within this time do not ask for the slots again."""
_LOOK_S = 0.5
"""Refusals and silence within this time do not ask for the primaries again."""


Run = Callable[[Script, Sequence[str], Sequence[Argument]], Awaitable[Any]]
"""Runs a script with keys and arguments."""
FindLacking = Callable[[Run, str], Awaitable[str]]
"""Given a way to run scripts and a key: returns the rights that the user lacks, for a message."""


@dataclass(slots=True)
class ClientState:
    """What the event loops of a client share; values are replaced whole."""

    address: Address
    clustered: bool | None = None
    """Whether the server is a node of a Cluster. None: not known before the first call."""
    slots: Slots | None = None
    """Which node has which slot. None: it is no Cluster, or not known yet."""
    on_first_connect: Callable[[ServerInfo], None] | None = None
    """Called with what each primary says it is, for every connection that takes calls. A
    `TorilError` from it refuses the server."""
    find_lacking: FindLacking | None = None
    """Called after a script was denied a command. What it returns goes into the error."""


class Topology:
    """The servers and the connections of one event loop. Use it in that loop's thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shared: ClientState) -> None:
        self.connection: Connection | None = None
        """The connection that takes all calls; None if there is none, or in a Cluster."""
        self.on_changed: Callable[[], None] | None = None
        """Called when a connection was made or lost, and when slots have moved."""
        self.shared = shared
        self._loop = loop
        self._address = shared.address
        self._sentinels = SentinelDiscovery(shared.address)
        self._main = ManagedConnection(shared.address.shown, self._open_main, self._changed)
        self._nodes: dict[Endpoint, ManagedConnection] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = float("-inf")
        self._closed = False

    def nearby(self, key: str | None) -> Connection | None:
        """Return the open connection to the node of a Cluster that has a key."""
        slots = self.shared.slots
        if slots is None or key is None:
            return None
        endpoint = slots.owner(slot_of(key))
        managed = self._nodes.get(endpoint) if endpoint is not None else None
        return managed.connection if managed is not None else None

    async def reach(
        self, key: str | None, endpoint: Endpoint | None = None, *, until_s: float | None = None
    ) -> Connection:
        """Return a connection with room, made if need be.

        Parameters:
            key: What it is for. None: any server will do.
            endpoint: The node, if it is given and not found by the key.
            until_s: When to give up, by the loop's clock. Default: after `connect_timeout_s`.

        Raises:
            StoreUnreachableError: None was to be had in that time.
            BackendError: The server does not let us in.
        """
        if until_s is None:
            until_s = self._loop.time() + self._address.connect_timeout_s
        trouble: StoreUnreachableError | None = None
        while True:
            managed = self.managed_for(key) if endpoint is None else self._node(endpoint)
            connection = managed.connection
            if connection is not None:
                if not connection.full or await connection.room():
                    return connection
                until_s = self._loop.time() + self._address.connect_timeout_s
                continue
            self.check_open()
            if self._loop.time() >= until_s:
                raise trouble or StoreUnreachableError(
                    f"{self._address.shown}: cannot be reached: its connections do not last.",
                    sent=False,
                )
            # A node that died in silence lets us wait, while the others know who took over.
            slice_s = until_s if self.shared.slots is None else self._loop.time() + OVERDUE_S
            try:
                await managed.connect(min(until_s, slice_s))
            except StoreUnreachableError as error:
                trouble = error
                await self.refresh(until_s)

    async def open_dedicated(
        self, key: str, name: str | None
    ) -> tuple[Connection, Endpoint | None]:
        """Open a connection to the server that has a key, for one caller; return its node too.

        Outside of a Cluster there is no node: its one server may have another address by now.
        """
        address = self._address
        slots = self.shared.slots
        name = name or CLIENT_NAME
        if address.sentinel_service is not None and slots is None:
            connection, _ = await self._sentinels.open_primary(name=name, answers_late=True)
            return connection, None
        if slots is not None:
            connection, _ = await follow(
                self._owner(key),
                partial(open_connection, address, name=name, answers_late=True),
                partial(self._look_for, key),
            )
            return connection, connection.endpoint
        endpoint = address.hosts[0] if address.path is None else None
        connection, _ = await open_connection(address, endpoint, name=name, answers_late=True)
        return connection, None

    def _owner(self, key: str) -> Endpoint:
        """Return the node of a Cluster that has a key, or any."""
        slots = self.shared.slots
        owner = None if slots is None else slots.owner(slot_of(key))
        return owner or self._address.hosts[0]

    async def _look_for(self, key: str) -> Endpoint:
        await self.look()
        return self._owner(key)

    def note_move(self, connection: Connection, text: str) -> None:
        """Learn from a redirection who has a slot."""
        if self.shared.slots is None:  # it is a Cluster, and did not let us ask
            self.shared.clustered = True
            self.shared.slots = Slots([None] * SLOTS)
            self._changed()
        self.shared.slots.move(*parse_redirection(text, connection.host))
        self.refresh_soon()

    async def refresh(self, until_s: float) -> None:
        """Ask who has which slot, or wait until somebody else has asked. Never raises."""
        if self.shared.slots is not None and self._loop.time() < until_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await asyncio.shield(self._start_refresh())

    def refresh_soon(self) -> None:
        """Start to ask who has which slot, unless it was asked just now."""
        if self.shared.slots is not None and self._loop.time() > self._refreshed_s + _REFRESH_S:
            self._start_refresh()

    @property
    def may_move(self) -> bool:
        """Whether another server may take over: there are sentinels, or it is a Cluster."""
        return self._address.sentinel_service is not None or self.shared.slots is not None

    async def look(self) -> None:
        """Ask for the current primaries, and leave servers that were replaced. Never raises.

        Many may ask at once: it is asked once, and not again within half a second.
        """
        looking = self._look_once()
        if looking is not None:
            await asyncio.wait([looking])

    def look_soon(self) -> None:
        """`look` in a task of its own."""
        if self.may_move and not self._closed:
            self._look_once()

    def leads(self, connection: Connection, key: str) -> bool:
        """Whether a connection leads to the server that has a key, as far as is known."""
        slots = self.shared.slots
        if slots is not None:
            return slots.owner(slot_of(key)) in (None, connection.endpoint)
        main = self._main.connection
        return main is None or not self.may_move or _same(main, connection)

    def check_open(self) -> None:
        """Raise `BackendClosedError` once `close` was called."""
        if self._closed:
            raise BackendClosedError(f"{self._address.shown}: the store was closed")

    def managed_for(self, key: str | None) -> ManagedConnection:
        """Return the managed connection to the server that has a key, as far as is known."""
        slots = self.shared.slots
        if slots is None:
            return self._main
        endpoint = None if key is None else slots.owner(slot_of(key))
        if endpoint is not None:
            return self._node(endpoint)
        # Any will do: one that is connected already, or the first that is known.
        connected = (one for one in self._nodes.values() if one.connection is not None)
        return next(connected, None) or next(map(self._node, slots.endpoints), self._main)

    def connections(self) -> list[Connection]:
        """Return the connections that are open."""
        all_managed = (self._main, *self._nodes.values())
        return [one.connection for one in all_managed if one.connection is not None]

    def close(self) -> list[Connection]:
        """Make no more connections, and return those that are open."""
        self._closed = True
        for managed in (self._main, *self._nodes.values()):
            managed.stop()
        if self._looking is not None:
            self._looking.cancel()
        return self.connections()

    def _node(self, endpoint: Endpoint) -> ManagedConnection:
        managed = self._nodes.get(endpoint)
        if managed is None:
            shown = f"{self._address.shown} ({show_endpoint(endpoint)})"
            managed = ManagedConnection(shown, partial(self._open_node, endpoint), self._changed)
            self._nodes[endpoint] = managed
        return managed

    def _changed(self) -> None:
        self.connection = self._main.connection if self.shared.slots is None else None
        if self.on_changed is not None:
            self.on_changed()

    async def _open_main(self) -> Connection | None:
        address = self._address
        if address.path is not None:
            connection, info = await open_connection(address, None)
        elif address.sentinel_service is not None:
            connection, info = await self._sentinels.open_primary()
        else:
            connection, info = await self._open_any()
        connection.on_overdue = self.look_soon
        try:
            if info.cluster_enabled or address.cluster:
                if info.role != "slave":
                    self._introduce(info)
                await self._learn(connection)
                if not self._adopt(connection, await self._own_endpoint(connection)):
                    connection.retire()
                return None
            if self.shared.clustered is None:
                self.shared.clustered = False
            self._introduce(info)
        except BaseException:
            connection.abort("it was not wanted")
            raise
        return connection

    async def _open_any(self) -> Opened:
        """Connect to the address' first host that answers, or to a node known by now."""
        slots = self.shared.slots
        known = slots.endpoints if slots is not None else ()
        return await open_any(self._address, dict.fromkeys((*self._address.hosts, *known)))

    async def _open_node(self, endpoint: Endpoint) -> Connection:
        connection, info = await open_connection(self._address, endpoint)
        connection.on_overdue = self.look_soon
        try:
            if info.role != "slave":
                self._introduce(info)
        except BaseException:
            connection.abort("it was not wanted")
            raise
        return connection

    def _introduce(self, info: ServerInfo) -> None:
        if self.shared.on_first_connect is not None:
            self.shared.on_first_connect(info)

    async def _learn(self, connection: Connection) -> None:
        """Ask a node who has which slot."""
        self._take_slots((await slot_discovery.ask(connection)).value)

    def _take_slots(self, slots: Slots) -> None:
        self.shared.slots = slots
        self.shared.clustered = True
        self._refreshed_s = self._loop.time()
        for endpoint in self._nodes.keys() - set(slots.endpoints):
            gone = self._nodes.pop(endpoint)
            gone.stop()
            if gone.connection is not None:
                gone.connection.leave(REPLACED)
        self._changed()

    async def _own_endpoint(self, connection: Connection) -> Endpoint | None:
        """Return which of the nodes this connection leads to."""
        nodes = ""
        # If it cannot be told, its node gets a connection of its own.
        with contextlib.suppress(ReplyError, NotWrittenError):
            nodes = await connection.send(pack(("CLUSTER", "NODES")))
        for line in str(nodes).splitlines():
            _, address, flags, *_ = line.split(" ")
            if "myself" in flags:
                host, _, port = address.partition("@")[0].rpartition(":")
                return host_of(host, connection.host), int(port)
        return None

    def _adopt(self, connection: Connection, endpoint: Endpoint | None) -> bool:
        """Keep the first connection to a Cluster for the node that it leads to."""
        slots = self.shared.slots
        if endpoint is None or slots is None or endpoint not in slots.endpoints:
            return False
        managed = self._node(endpoint)
        if managed.connection is None and not connection.closed:
            connection.endpoint = endpoint
            managed.take(connection)
            return True
        return False

    def _look_once(self) -> asyncio.Task[None] | None:
        if self._looking is None or self._looking.done():
            if self._loop.time() < self._looked_s + _LOOK_S:
                return None
            self._looked_s = self._loop.time()
            looking = self._look_at_cluster if self.shared.slots is not None else self._look_at_main
            # A context of its own, which the connection keeps alive, and not the caller's.
            self._looking = self._loop.create_task(
                looking(), name="toril-redis-look", context=contextvars.Context()
            )
        return self._looking

    async def _look_at_cluster(self) -> None:
        await self._ask_around(thorough=True)

    async def _look_at_main(self) -> None:
        """Move to the primary that the sentinels name, if it is another one."""
        with contextlib.suppress(TorilError):
            endpoint = await self._sentinels.primary()
            before = self._main.connection
            if before is None or before.endpoint == endpoint:
                return
            connection, info = await open_connection(self._address, endpoint, as_primary=True)
            try:
                self._introduce(info)
            except BaseException:
                connection.abort("it was not wanted")
                raise
            if self._closed or self._main.connection is not before or _same(before, connection):
                connection.abort("it is not needed any more")
                return
            connection.on_overdue = self.look_soon
            self._main.take(connection)
            before.leave(REPLACED)

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(
                self._ask_around(thorough=False), name="toril-redis-slots"
            )
        return self._refreshing

    async def _ask_around(self, *, thorough: bool) -> None:
        known = self.shared.slots
        slots = await slot_discovery.newest(
            self._address,
            [one.connection for one in self._nodes.values() if one.connection is not None],
            (*(known.endpoints if known is not None else ()), *self._address.hosts),
            thorough=thorough,
        )
        if slots is not None:
            self._take_slots(slots)
            return
        if self._closed:
            return  # not cancelled instead: that would reach those who wait for this
        if self._main.connection is not None:
            return  # it may not be asked, or it would not be there: redirections have to do
        # No node that we are connected to: the address' own hosts, and all nodes known.
        with contextlib.suppress(TorilError):
            await self._main.connect(self._loop.time() + self._address.connect_timeout_s)


def _same(one: Connection, other: Connection) -> bool:
    """Whether two connections lead to the same server, which may have several names."""
    if one.run_id and other.run_id:
        return one.run_id == other.run_id
    return one.endpoint == other.endpoint
