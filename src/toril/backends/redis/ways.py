"""The ways from one event loop to the servers: which there are, and who has which key.

One server, a primary that sentinels name, or the nodes of a Cluster. Knows nothing of commands:
`home.py` sends them over what it gets here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from toril.backends.redis.address import Address, Place, show_place
from toril.backends.redis.cluster import (
    SLOTS,
    Slots,
    host_of,
    parse_redirection,
    parse_slots,
    slot_of,
)
from toril.backends.redis.connecting import CLIENT_NAME, Finder, open_link
from toril.backends.redis.link import Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, pack
from toril.backends.redis.replies import translate
from toril.backends.redis.routes import Route
from toril.backends.redis.server_info import ServerInfo
from toril.core.errors import BackendClosedError, BackendError, StoreUnreachableError, TorilError

_ASK_NODE_S = 1.0
_REFRESH_S = 1.0
"""Redirections within this time do not ask for the slots again."""


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
        self.known = known
        self._loop = loop
        self._address = known.address
        self._finder = Finder(known.address)
        self._main = Route(known.address.shown, self._open_main, self._changed)
        self._nodes: dict[Place, Route] = {}
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_s = float("-inf")
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
            try:
                await route.connect(until_s)
            except StoreUnreachableError as error:
                trouble = error
                await self.refresh(until_s)

    async def open_apart(self, key: str, name: str | None) -> tuple[Link, Place | None]:
        """Open a connection to the server that has a key, for one caller; return its node too.

        Outside of a Cluster there is no node: its one server may have another address by now.
        """
        address = self._address
        slots = self.known.slots
        place: Place | None = None
        if slots is not None:
            place = slots.owner(slot_of(key)) or address.hosts[0]
        elif address.sentinel_service is not None:
            place = await self._finder.primary()
        elif address.path is None:
            place = address.hosts[0]
        link, _ = await open_link(
            address,
            place,
            name=name or CLIENT_NAME,
            answers_late=True,
            as_primary=address.sentinel_service is not None,
        )
        return link, None if slots is None else place

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

    async def _open_main(self) -> Link | None:
        address = self._address
        if address.path is not None:
            link, info = await open_link(address, None)
        elif address.sentinel_service is not None:
            place = await self._finder.primary()
            link, info = await open_link(address, place, as_primary=True)
        else:
            link, info = await self._open_any()
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
        places = dict.fromkeys((*self._address.hosts, *(slots.places if slots else ())))
        troubles = []
        for place in places:
            try:
                return await open_link(self._address, place)
            except StoreUnreachableError as error:
                troubles.append(error)
        raise troubles[0]

    async def _open_node(self, place: Place) -> Link:
        link, info = await open_link(self._address, place)
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
        try:
            reply = await link.send(pack(("CLUSTER", "SLOTS")))
        except ReplyError as error:
            if "cluster support disabled" in str(error):
                raise BackendError(
                    f"{link.shown}: this server is no node of a Cluster. Its URL begins with"
                    " 'redis://'."
                ) from None
            raise translate(str(error), link.shown, user=link.user) from None
        except NotWrittenError:
            raise StoreUnreachableError(
                f"{link.shown}: cannot be reached: it hung up.", sent=False
            ) from None
        slots = parse_slots(reply, link.host)
        if not slots.places:
            raise translate("CLUSTERDOWN no node has any slot", link.shown)
        self.known.slots = slots
        self.known.clustered = True
        self._refreshed_s = self._loop.time()
        for place in self._nodes.keys() - set(slots.places):
            gone = self._nodes.pop(place)
            gone.stop()
            if gone.link is not None:
                gone.link.retire()
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
            route.take(link)
            return True
        return False

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = self._loop.create_task(self._ask_around(), name="toril-redis-slots")
        return self._refreshing

    async def _ask_around(self) -> None:
        for route in tuple(self._nodes.values()):
            link = route.link
            if link is None or link.full:
                continue
            with contextlib.suppress(TorilError, TimeoutError):
                async with asyncio.timeout(_ASK_NODE_S):
                    await self._learn(link)
                return
        if self._closed:
            return  # not cancelled instead: that would reach those who wait for this
        if self._main.link is not None:
            return  # it may not be asked, or it would not be there: redirections have to do
        # No node that we are connected to: the address' own hosts, and all nodes known.
        with contextlib.suppress(TorilError):
            await self._main.connect(self._loop.time() + self._address.connect_timeout_s)
