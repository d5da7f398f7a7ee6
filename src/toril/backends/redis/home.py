"""What a client has in one event loop: its connections, and how a command finds its way.

`Client.call` sends by itself as long as nothing is in the way; everything else is here: waiting for
a connection, a server that is no primary any more, a script that is not loaded, a Cluster's
redirections. A command is sent again only if the server said that it did not run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
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
from toril.backends.redis.line import Line
from toril.backends.redis.link import Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, pack
from toril.backends.redis.replies import code, is_read_only, translate
from toril.backends.redis.routes import FIRST_PAUSE_S, LONGEST_PAUSE_S, Route
from toril.backends.redis.scripts import Script
from toril.backends.redis.server_info import ServerInfo
from toril.core.errors import BackendClosedError, BackendError, StoreUnreachableError, TorilError

MAX_MENDED = {"NOSCRIPT": 3, "MOVED": 16, "ASK": 16, "TRYAGAIN": 8}
"""How often a command is sent again after a refusal of this kind. `TRYAGAIN` pauses between."""
_ASK_NODE_S = 1.0
_REFRESH_S = 1.0
"""Redirections within this time do not ask for the slots again."""
_ASKING = pack(("ASKING",))


@dataclass(slots=True)
class Known:
    """What a client has learned of its servers. Its loops share it; values are replaced whole."""

    address: Address
    clustered: bool | None = None
    slots: Slots | None = None
    on_first_connect: Callable[[ServerInfo], None] | None = None


class Home:
    """A client's part in one event loop. Used in its loop's thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, known: Known) -> None:
        self.link: Link | None = None
        """The connection that takes all calls; None if there is none, or in a Cluster."""
        self._loop = loop
        self._known = known
        self._address = known.address
        self._finder = Finder(known.address)
        self._main = Route(known.address.shown, self._open_main, self._changed)
        self._nodes: dict[Place, Route] = {}
        self._lines: set[Line] = set()
        self._refreshing: asyncio.Task[None] | None = None
        self._refreshed_s = float("-inf")
        self._closed = False
        guard = _until_the_loop_ends(self)
        with contextlib.suppress(StopIteration):  # up to its yield: the loop knows it from then on
            guard.asend(None).send(None)
        self._guard: AsyncGenerator[None, None] | None = guard

    def nearby(self, key: str | None) -> Link | None:
        """Return the open connection to the node of a Cluster that has a key."""
        slots = self._known.slots
        if slots is None or key is None:
            return None
        place = slots.owner(slot_of(key))
        route = self._nodes.get(place) if place is not None else None
        return route.link if route is not None else None

    async def deliver(
        self,
        data: bytes,
        key: str | None,
        script: Script | None = None,
        refused: tuple[Link, ReplyError] | None = None,
    ) -> object:
        """Send a command to where it belongs, as often as servers say that they did not run it.

        Parameters:
            data: The command, packed.
            key: What decides where it goes. None: anywhere.
            script: Loaded if the server does not know it.
            refused: What became of it so far.

        Raises:
            TorilError: What the last server said, or that none was reached.
        """
        asked: Place | None = None
        mended: Counter[str] = Counter()
        while True:
            if refused is not None:
                asked = await self._mend(*refused, asked=asked, script=script, mended=mended)
                refused = None
            until_s = self._loop.time() + self._address.connect_timeout_s
            link = await self._reach(key, asked, until_s)
            try:
                if asked is None:
                    return await link.send(data)
                _, reply = await link.send_many(_ASKING + data, 2)
                if reply.__class__ is ReplyError:
                    raise reply
                return reply
            except NotWrittenError:
                continue
            except ReplyError as error:
                refused = link, error

    async def deliver_many(
        self, packed: Sequence[bytes], keys: Sequence[str | None]
    ) -> list[object]:
        """Send commands, in one write a node, and return their replies in the same order.

        Raises:
            TorilError: The first refusal, after all were answered.
        """
        parts: dict[Route, list[int]] = {}
        for place, key in enumerate(keys):
            parts.setdefault(self._route(key), []).append(place)
        answers: list[object] = [None] * len(packed)
        troubles: list[BaseException | None] = []
        if len(parts) == 1:
            await self._deliver_part(range(len(packed)), packed, keys, answers)
        else:
            troubles = await asyncio.gather(
                *(self._deliver_part(part, packed, keys, answers) for part in parts.values()),
                return_exceptions=True,
            )
        for trouble in (*troubles, *answers):
            if isinstance(trouble, BaseException):
                raise trouble
        return answers

    async def _deliver_part(
        self,
        part: Sequence[int],
        packed: Sequence[bytes],
        keys: Sequence[str | None],
        answers: list[object],
    ) -> None:
        """Send those commands that go to one node."""
        data = b"".join(packed[place] for place in part)
        while True:
            until_s = self._loop.time() + self._address.connect_timeout_s
            link = await self._reach(keys[part[0]], None, until_s)
            try:
                replies = await link.send_many(data, len(part))
                break
            except NotWrittenError:
                continue
        for place, reply in zip(part, replies, strict=True):
            answers[place] = reply
            if isinstance(reply, ReplyError):
                try:
                    answers[place] = await self.deliver(
                        packed[place], keys[place], None, (link, reply)
                    )
                except TorilError as error:
                    answers[place] = error

    async def ask_node(self, place: Place | None, data: bytes) -> object:
        """Send a command to one node. None: the only server."""
        while True:
            until_s = self._loop.time() + self._address.connect_timeout_s
            link = await self._reach(None, place, until_s)
            try:
                return await link.send(data)
            except NotWrittenError:
                continue
            except ReplyError as error:
                raise self.refusal(link, error) from None

    async def ready(self) -> None:
        """Have a connection; it is known then whether this is a Cluster."""
        await self._reach(None, None, self._loop.time() + self._address.connect_timeout_s)

    async def know(self) -> Slots | None:
        """Return the slots of a Cluster, asked for anew; None if it is no Cluster."""
        await self.ready()
        await self._refresh(self._loop.time() + self._address.connect_timeout_s)
        return self._known.slots

    async def open_line(self, key: str, name: str | None) -> Line:
        """Open a connection apart to the server that has a key."""
        until_s = self._loop.time() + self._address.connect_timeout_s
        pause_s = FIRST_PAUSE_S
        while True:
            await self._reach(key, None, until_s)
            try:
                line = await self._open_apart(key, name)
                break
            except StoreUnreachableError:
                if self._loop.time() + pause_s >= until_s:
                    raise
                await self._refresh(until_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - only to spread
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        if self._closed:  # meanwhile
            line.link.abort("the client was closed")
            self._check_open()
        if not line.closed:
            line.link.on_lost = lambda: self._lines.discard(line)
            self._lines.add(line)
        return line

    def refusal(self, link: Link, error: ReplyError) -> TorilError:
        """Return the error of a refusal, and draw the conclusions."""
        text = str(error)
        if is_read_only(text):
            link.retire()
        elif code(text) == "MOVED":
            self._note_move(link, text)
        elif code(text) == "CLUSTERDOWN":
            self._refresh_soon()
        return translate(text, link.shown, user=link.user)

    def close(self) -> list[Link]:
        """Close all connections and return those that were open."""
        self._closed = True
        guard, self._guard = self._guard, None
        if guard is not None and not _is_running(guard):  # else it is what calls this
            with contextlib.suppress(StopIteration):
                guard.aclose().send(None)
        links = [line.link for line in self._lines]
        for route in (self._main, *self._nodes.values()):
            route.stop()
            if route.link is not None:
                links.append(route.link)
        if self._refreshing is not None:
            self._refreshing.cancel()
        for link in links:
            link.abort("the client was closed")
        return links

    async def close_and_wait(self) -> None:
        """The same; return once the sockets are closed."""
        links = self.close()
        for link in links:
            await link.gone()

    def drop(self) -> list[object]:
        """Forget the connections of a loop that was closed, and return their transports."""
        links = [line.link for line in self._lines]
        links += [route.link for route in (self._main, *self._nodes.values()) if route.link]
        self.link = None
        dropped = (link.drop() for link in links)
        return [transport for transport in dropped if transport is not None]

    async def _reach(self, key: str | None, place: Place | None, until_s: float) -> Link:
        """Return a connection with room, made if need be.

        Parameters:
            key: What it is for.
            place: The node, if it is given and not found by the key.
            until_s: When to give up, by the loop's clock.
        """
        trouble: StoreUnreachableError | None = None
        while True:
            route = self._route(key) if place is None else self._node(place)
            link = route.link
            if link is not None:
                if not link.full or await link.room():
                    return link
                until_s = self._loop.time() + self._address.connect_timeout_s
                continue
            self._check_open()
            if self._loop.time() >= until_s:
                raise trouble or StoreUnreachableError(
                    f"{self._address.shown}: cannot be reached: its connections do not last.",
                    sent=False,
                )
            try:
                await route.connect(until_s)
            except StoreUnreachableError as error:
                trouble = error
                await self._refresh(until_s)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendClosedError(f"{self._address.shown}: the store was closed")

    def _route(self, key: str | None) -> Route:
        slots = self._known.slots
        if slots is None:
            return self._main
        place = None if key is None else slots.owner(slot_of(key))
        if place is not None:
            return self._node(place)
        # Any will do: one that is connected already, or the first that is known.
        open_routes = (route for route in self._nodes.values() if route.link is not None)
        route = next(open_routes, None)
        return route or next(map(self._node, slots.places), self._main)

    def _node(self, place: Place) -> Route:
        route = self._nodes.get(place)
        if route is None:
            shown = f"{self._address.shown} ({show_place(place)})"
            route = Route(shown, partial(self._open_node, place), self._changed)
            self._nodes[place] = route
        return route

    def _changed(self) -> None:
        self.link = self._main.link if self._known.slots is None else None

    async def _mend(
        self,
        link: Link,
        error: ReplyError,
        *,
        asked: Place | None,
        script: Script | None,
        mended: Counter[str],
    ) -> Place | None:
        """Remove the cause of a refusal; return the node to ask, if it is not the keys' own.

        Raises:
            TorilError: It cannot be removed, or came back too often.
        """
        text = str(error)
        kind = code(text)
        if mended[kind] >= MAX_MENDED.get(kind, 0) or (kind == "NOSCRIPT" and script is None):
            raise self.refusal(link, error) from None
        mended[kind] += 1
        if kind == "NOSCRIPT" and script is not None:
            with contextlib.suppress(NotWrittenError):  # the next connection finds out by itself
                await self._load(link, script)
        elif kind == "TRYAGAIN":
            pause_s = min(0.01 * 2 ** mended[kind], 0.5)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - to spread them
        elif kind == "ASK":
            return parse_redirection(text, link.host)[1]
        else:
            self._note_move(link, text)
            return None
        return asked

    def _note_move(self, link: Link, text: str) -> None:
        """Learn from a redirection who has a slot."""
        if self._known.slots is None:  # it is a Cluster, and did not let us ask
            self._known.clustered = True
            self._known.slots = Slots([None] * SLOTS)
            self._changed()
        self._known.slots.move(*parse_redirection(text, link.host))
        self._refresh_soon()

    async def _load(self, link: Link, script: Script) -> None:
        """Give a server a script. Many may find it missing at once: it is sent once."""
        loading = link.loading.get(script.sha)
        if loading is None:
            loading = link.send(pack(("SCRIPT", "LOAD", script.text)))
            link.loading[script.sha] = loading
            loading.add_done_callback(lambda _: link.loading.pop(script.sha, None))
        try:
            await asyncio.shield(loading)
        except ReplyError as error:
            raise self.refusal(link, error) from None

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
            if self._known.clustered is None:
                self._known.clustered = False
            self._introduce(info)
        except BaseException:
            link.abort("it was not wanted")
            raise
        return link

    async def _open_any(self) -> tuple[Link, ServerInfo]:
        """Connect to the address' first host that answers, or to a node known by now."""
        slots = self._known.slots
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

    async def _open_apart(self, key: str, name: str | None) -> Line:
        address = self._address
        slots = self._known.slots
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
        try:
            number = await link.send(pack(("CLIENT", "ID")))
        except ReplyError as error:
            link.abort("it was not wanted")
            raise self.refusal(link, error) from None
        except (NotWrittenError, StoreUnreachableError):
            raise StoreUnreachableError(
                f"{link.shown}: cannot be reached: it hung up.", sent=False
            ) from None
        except BaseException:
            link.abort("it was not wanted")
            raise
        # Outside of a Cluster there is one server, whatever its address is by now.
        node = None if slots is None else place
        tell = partial(self.ask_node, node)
        return Line(link, int(number), refusal=self.refusal, tell=tell)

    def _introduce(self, info: ServerInfo) -> None:
        if self._known.on_first_connect is not None:
            self._known.on_first_connect(info)

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
        self._known.slots = slots
        self._known.clustered = True
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
        with contextlib.suppress(
            ReplyError, NotWrittenError
        ):  # then it gets a connection of its own
            nodes = await link.send(pack(("CLUSTER", "NODES")))
        for line in str(nodes).splitlines():
            _, address, flags, *_ = line.split(" ")
            if "myself" in flags:
                host, _, port = address.partition("@")[0].rpartition(":")
                return host_of(host, link.host), int(port)
        return None

    def _adopt(self, link: Link, place: Place | None) -> bool:
        """Keep the first connection to a Cluster for the node that it leads to."""
        slots = self._known.slots
        if place is None or slots is None or place not in slots.places:
            return False
        route = self._node(place)
        if route.link is None and not link.closed:
            route.take(link)
            return True
        return False

    def _refresh_soon(self) -> None:
        if self._known.slots is not None and self._loop.time() > self._refreshed_s + _REFRESH_S:
            self._start_refresh()

    async def _refresh(self, until_s: float) -> None:
        """Ask who has which slot, or wait until somebody else has asked. Never raises."""
        if self._known.slots is not None and self._loop.time() < until_s:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until_s):
                    await asyncio.shield(self._start_refresh())

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
        if self._main.link is not None:
            return  # it may not be asked, or it would not be there: redirections have to do
        # No node that we are connected to: the address' own hosts, and all nodes known.
        with contextlib.suppress(TorilError):
            await self._main.connect(self._loop.time() + self._address.connect_timeout_s)


def _is_running(generator: AsyncGenerator[None, None]) -> bool:
    return bool(getattr(generator, "ag_running", False))  # its type has it, the protocol has not


async def _until_the_loop_ends(home: Home) -> AsyncGenerator[None, None]:
    """Close what is open when a loop ends in order: it closes its asynchronous generators then."""
    try:
        yield
    finally:
        home.close()
