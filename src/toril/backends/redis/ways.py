"""The ways from one event loop to the servers: which there are, and who has which key.

One server, a primary that sentinels name, or the nodes of a Cluster. Knows nothing of commands:
`home.py` sends them over what it gets here.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from toril.backends.redis import nodes
from toril.backends.redis.address import Address, Place, show_place
from toril.backends.redis.cluster import (
    SLOTS,
    Slots,
    host_of,
    parse_redirection,
    slot_of,
)
from toril.backends.redis.connecting import CLIENT_NAME, follow, open_any, open_link
from toril.backends.redis.link import OVERDUE_S, Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, pack
from toril.backends.redis.routes import Route
from toril.backends.redis.sentinels import Finder
from toril.backends.redis.server_info import ServerInfo
from toril.core.errors import BackendClosedError, StoreUnreachableError, TorilError

REPLACED = "another server took over"
_REFRESH_S = 1.0
"""Redirections within this time do not ask for the slots again."""
_LOOK_S = 0.5
"""Refusals and silence within this time do not ask for the primaries again."""


@dataclass(slots=True)
class Known:
    """What a client has learned of its servers. Its loops share it; values are replaced whole."""

    address: Address
    clustered: bool | None = None
    slots: Slots | None = None
    on_first_connect: Callable[[ServerInfo], None] | None = None


class Ways:
    """A client's routes in one event loop. Used in its thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, known: Known) -> None:
        self.link: Link | None = None
        """The connection that takes all calls; None if there is none, or in a Cluster."""
        self.on_changed: Callable[[], None] | None = None
        """Called when a connection was made or lost, and when slots have moved."""
        self.known = known
        self._loop = loop
        self._address = known.address
        self._finder = Finder(known.address)
        self._main = Route(known.address.shown, self._open_main, self._changed)
        self._nodes: dict[Place, Route] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_s = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._looked_s = float("-inf")
        self._closed = False

    def nearby(self, key: str | None) -> Link | None:
        """Return the open connection to the node of a Cluster that has a key."""
        slots = self.known.slots
        if slots is None or key is None:
            return None
        place = slots.owner(slot_of(key))
        route = self._nodes.get(place) if place is not None else None
        return route.link if route is not None else None

    async def reach(
        self, key: str | None, place: Place | None = None, *, until_s: float | None = None
    ) -> Link:
        """Return a connection with room, made if need be.

        Parameters:
            key: What it is for. None: any server will do.
            place: The node, if it is given and not found by the key.
            until_s: When to give up, by the loop's clock. Default: after `connect_timeout_s`.

        Raises:
            StoreUnreachableError: None was to be had in that time.
            BackendError: The server does not let us in.
        """
        if until_s is None:
            until_s = self._loop.time() + self._address.connect_timeout_s
        trouble: StoreUnreachableError | None = None
        while True:
            route = self.route(key) if place is None else self._node(place)
            link = route.link
            if link is not None:
                if not link.full or await link.room():
                    return link
                until_s = self._loop.time() + self._address.connect_timeout_s
                continue
            self.check_open()
            if self._loop.time() >= until_s:
                raise trouble or StoreUnreachableError(
                    f"{self._address.shown}: cannot be reached: its connections do not last.",
                    sent=False,
                )
            # A node that died in silence lets us wait, while the others know who took over.
            slice_s = until_s if self.known.slots is None else self._loop.time() + OVERDUE_S
            try:
                await route.connect(min(until_s, slice_s))
            except StoreUnreachableError as error:
                trouble = error
                await self.refresh(until_s)

    async def open_apart(self, key: str, name: str | None) -> tuple[Link, Place | None]:
        """Open a connection to the server that has a key, for one caller; return its node too.

        Outside of a Cluster there is no node: its one server may have another address by now.
        """
        address = self._address
        slots = self.known.slots
        name = name or CLIENT_NAME
        if address.sentinel_service is not None and slots is None:
            link, _ = await self._finder.open_primary(name=name, answers_late=True)
            return link, None
        if slots is not None:
            link, _ = await follow(
                self._owner(key),
                partial(open_link, address, name=name, answers_late=True),
                partial(self._look_for, key),
            )
            return link, link.place
        place = address.hosts[0] if address.path is None else None
        link, _ = await open_link(address, place, name=name, answers_late=True)
        return link, None

    def _owner(self, key: str) -> Place:
        """Return the node of a Cluster that has a key, or any."""
        slots = self.known.slots
        owner = None if slots is None else slots.owner(slot_of(key))
        return owner or self._address.hosts[0]

    async def _look_for(self, key: str) -> Place:
        await self.look()
        return self._owner(key)

    def note_move(self, link: Link, text: str) -> None:
        """Learn from a redirection who has a slot."""
        if self.known.slots is None:  # it is a Cluster, and did not let us ask
            self.known.clustered = True
            self.known.slots = Slots([None] * SLOTS)
            self._changed()
        self.known.slots.move(*parse_redirection(text, link.host))
        self.refresh_soon()

    async def refresh(self, until_s: float) -> None:
        """Ask who has which slot, or wait until somebody else has asked. Never raises."""
        if self.known.slots is not None and self._loop.time() < until_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await asyncio.shield(self._start_refresh())

    def refresh_soon(self) -> None:
        """Start to ask who has which slot, unless it was asked just now."""
        if self.known.slots is not None and self._loop.time() > self._refreshed_s + _REFRESH_S:
            self._start_refresh()

    @property
    def may_move(self) -> bool:
        """Whether another server may take over: there are sentinels, or it is a Cluster."""
        return self._address.sentinel_service is not None or self.known.slots is not None

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

    def leads(self, link: Link, key: str) -> bool:
        """Whether a connection leads to the server that has a key, as far as is known."""
        slots = self.known.slots
        if slots is not None:
            return slots.owner(slot_of(key)) in (None, link.place)
        main = self._main.link
        return main is None or not self.may_move or _same(main, link)

    def check_open(self) -> None:
        """Raise `BackendClosedError` once `close` was called."""
        if self._closed:
            raise BackendClosedError(f"{self._address.shown}: the store was closed")

    def route(self, key: str | None) -> Route:
        """Return the way to the server that has a key, as far as is known."""
        slots = self.known.slots
        if slots is None:
            return self._main
        place = None if key is None else slots.owner(slot_of(key))
        if place is not None:
            return self._node(place)
        # Any will do: one that is connected already, or the first that is known.
        open_routes = (route for route in self._nodes.values() if route.link is not None)
        route = next(open_routes, None)
        return route or next(map(self._node, slots.places), self._main)

    def links(self) -> list[Link]:
        """Return the connections that are open."""
        routes = (self._main, *self._nodes.values())
        return [route.link for route in routes if route.link is not None]

    def close(self) -> list[Link]:
        """Make no more connections, and return those that are open."""
        self._closed = True
        for route in (self._main, *self._nodes.values()):
            route.stop()
        if self._looking is not None:
            self._looking.cancel()
        return self.links()

    def _node(self, place: Place) -> Route:
        route = self._nodes.get(place)
        if route is None:
            shown = f"{self._address.shown} ({show_place(place)})"
            route = Route(shown, partial(self._open_node, place), self._changed)
            self._nodes[place] = route
        return route

    def _changed(self) -> None:
        self.link = self._main.link if self.known.slots is None else None
        if self.on_changed is not None:
            self.on_changed()

    async def _open_main(self) -> Link | None:
        address = self._address
        if address.path is not None:
            link, info = await open_link(address, None)
        elif address.sentinel_service is not None:
            link, info = await self._finder.open_primary()
        else:
            link, info = await self._open_any()
        link.on_overdue = self.look_soon
        try:
            if info.cluster_enabled or address.cluster:
                if info.role != "slave":
                    self._introduce(info)
                await self._learn(link)
                if not self._adopt(link, await self._own_place(link)):
                    link.retire()
                return None
            if self.known.clustered is None:
                self.known.clustered = False
            self._introduce(info)
        except BaseException:
            link.abort("it was not wanted")
            raise
        return link

    async def _open_any(self) -> tuple[Link, ServerInfo]:
        """Connect to the address' first host that answers, or to a node known by now."""
        slots = self.known.slots
        known = slots.places if slots is not None else ()
        return await open_any(self._address, dict.fromkeys((*self._address.hosts, *known)))

    async def _open_node(self, place: Place) -> Link:
        link, info = await open_link(self._address, place)
        link.on_overdue = self.look_soon
        try:
            if info.role != "slave":
                self._introduce(info)
        except BaseException:
            link.abort("it was not wanted")
            raise
        return link

    def _introduce(self, info: ServerInfo) -> None:
        if self.known.on_first_connect is not None:
            self.known.on_first_connect(info)

    async def _learn(self, link: Link) -> None:
        """Ask a node who has which slot."""
        self._take_slots((await nodes.ask(link)).slots)

    def _take_slots(self, slots: Slots) -> None:
        self.known.slots = slots
        self.known.clustered = True
        self._refreshed_s = self._loop.time()
        for place in self._nodes.keys() - set(slots.places):
            gone = self._nodes.pop(place)
            gone.stop()
            if gone.link is not None:
                gone.link.leave(REPLACED)
        self._changed()

    async def _own_place(self, link: Link) -> Place | None:
        """Return which of the nodes this connection leads to."""
        nodes = ""
        # If it cannot be told, its node gets a connection of its own.
        with contextlib.suppress(ReplyError, NotWrittenError):
            nodes = await link.send(pack(("CLUSTER", "NODES")))
        for line in str(nodes).splitlines():
            _, address, flags, *_ = line.split(" ")
            if "myself" in flags:
                host, _, port = address.partition("@")[0].rpartition(":")
                return host_of(host, link.host), int(port)
        return None

    def _adopt(self, link: Link, place: Place | None) -> bool:
        """Keep the first connection to a Cluster for the node that it leads to."""
        slots = self.known.slots
        if place is None or slots is None or place not in slots.places:
            return False
        route = self._node(place)
        if route.link is None and not link.closed:
            link.place = place
            route.take(link)
            return True
        return False

    def _look_once(self) -> asyncio.Task[None] | None:
        if self._looking is None or self._looking.done():
            if self._loop.time() < self._looked_s + _LOOK_S:
                return None
            self._looked_s = self._loop.time()
            looking = self._look_at_cluster if self.known.slots is not None else self._look_at_main
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
            place = await self._finder.primary()
            before = self._main.link
            if before is None or before.place == place:
                return
            link, info = await open_link(self._address, place, as_primary=True)
            try:
                self._introduce(info)
            except BaseException:
                link.abort("it was not wanted")
                raise
            if self._closed or self._main.link is not before or _same(before, link):
                link.abort("it is not needed any more")
                return
            link.on_overdue = self.look_soon
            self._main.take(link)
            before.leave(REPLACED)

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(
                self._ask_around(thorough=False), name="toril-redis-slots"
            )
        return self._refreshing

    async def _ask_around(self, *, thorough: bool) -> None:
        known = self.known.slots
        slots = await nodes.newest(
            self._address,
            [route.link for route in self._nodes.values() if route.link is not None],
            (*(known.places if known is not None else ()), *self._address.hosts),
            thorough=thorough,
        )
        if slots is not None:
            self._take_slots(slots)
            return
        if self._closed:
            return  # not cancelled instead: that would reach those who wait for this
        if self._main.link is not None:
            return  # it may not be asked, or it would not be there: redirections have to do
        # No node that we are connected to: the address' own hosts, and all nodes known.
        with contextlib.suppress(TorilError):
            await self._main.connect(self._loop.time() + self._address.connect_timeout_s)


def _same(one: Link, other: Link) -> bool:
    """Whether two connections lead to the same server, which may have several names."""
    if one.run_id and other.run_id:
        return one.run_id == other.run_id
    return one.place == other.place
