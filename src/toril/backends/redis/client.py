"""The client: commands and scripts, from any thread and any event loop, to the right server.

Read next: `link.py` (one connection), `home.py` (what is between a call and a connection).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from toril.backends.redis.address import Address, Place, show_place
from toril.backends.redis.cluster import first_key, slot_of
from toril.backends.redis.home import CLOSE_S, Home
from toril.backends.redis.line import Line
from toril.backends.redis.link import NotWrittenError
from toril.backends.redis.protocol import ReplyError, Word, pack
from toril.backends.redis.scripts import Script
from toril.backends.redis.server_info import ServerInfo
from toril.backends.redis.thread import LoopThread
from toril.backends.redis.ways import Known
from toril.core.errors import BackendClosedError, InvalidOptionError

__all__ = ["Client", "Line", "Node"]

NEVER_THERE = ":toril:none"
"""End of a key that never exists, which in a Cluster scripts are given that make keys themselves.

While a slot moves to another node, a server runs a command only if all its keys are there, and asks
to try again otherwise. Keys that a script makes of a queue's `meta` the server cannot see: without
this one it would run half, up to a key that has moved already.
"""
BLOCKING_S = 10.0
"""How long a call of a plain thread may take, in seconds."""


class Client:
    """Thread-safe, for any number of event loops: each has connections of its own.

    A call whose connection is lost is never repeated: its outcome is unknown, and the error says so
    (`StoreUnreachableError.sent`). One that was not sent yet waits for a connection, for up to
    `connect_timeout_s`.
    """

    def __init__(self, address: Address) -> None:
        """Make a client; the first call opens a connection."""
        self.address = address
        self._known = Known(address)
        self._homes: dict[asyncio.AbstractEventLoop, Home] = {}
        self._lock = threading.Lock()
        self._thread = LoopThread()
        self._closed = False

    @property
    def clustered(self) -> bool | None:
        """Whether the server is a node of a Cluster. None: not known before the first call."""
        return self._known.clustered

    @property
    def on_first_connect(self) -> Callable[[ServerInfo], None] | None:
        """Called with what each primary says it is, for every connection that takes calls.

        A `TorilError` from it refuses the server.
        """
        return self._known.on_first_connect

    @on_first_connect.setter
    def on_first_connect(self, hook: Callable[[ServerInfo], None] | None) -> None:
        self._known.on_first_connect = hook

    async def call(self, *command: Word) -> Any:
        """Send a command and return its reply: text, whole numbers, None, or lists of these.

        In a Cluster it goes to the node of its first key.

        Raises:
            StoreUnreachableError: See its `sent`.
            BackendError: The server refused; nothing was done.
        """
        data = pack(command)
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        link = home.ways.link or home.ways.nearby(first_key(command))
        refused = None
        if link is not None and not link.full:
            try:
                return await link.send(data)
            except NotWrittenError:
                pass
            except ReplyError as error:
                refused = link, error
        return await home.deliver(data, first_key(command), None, refused)

    async def many(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands in one write and return their replies. In a Cluster: one write a node.

        Raises:
            BackendError: The first refusal, after all were answered; the others were done.
        """
        if not commands:
            return []
        packed = [pack(tuple(command)) for command in commands]
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        if self._known.clustered is None:
            await home.ready()
        if self._known.slots is None:
            return await home.deliver_many(packed, [None] * len(packed))
        return await home.deliver_many(packed, list(map(first_key, commands)))

    async def run(self, script: Script, keys: Sequence[str], *args: Word) -> Any:
        """Run a script and return its reply; it is loaded where the server does not have it.

        Raises:
            TypeError: The number of keys or arguments is wrong.
            InvalidOptionError: In a Cluster: the keys lie in several slots.
        """
        script.check(len(keys), len(args))
        if self._known.slots is not None and script.makes_keys:
            keys = [*keys, f"{keys[0]}{NEVER_THERE}"]
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        key = keys[0] if keys else None
        link = home.ways.link
        if link is None and self._known.slots is not None:
            if len(keys) > 1:
                self._check_slots(keys)
            link = home.ways.nearby(key)
        refused = None
        if link is not None and not link.full:
            try:
                return await link.send(data)
            except NotWrittenError:
                pass
            except ReplyError as error:
                refused = link, error
        return await home.deliver(data, key, script, refused)

    def start(
        self,
        script: Script,
        keys: Sequence[str],
        *args: Word,
        done: Callable[[Any, BaseException | None], None],
    ) -> bool:
        """Send what `run` would, without a task, if nothing is in the way of that.

        Parameters:
            done: Called with the reply, or with what `run` would raise. Not during this call.

        Returns:
            Whether it was sent. If not, nothing was done: use `run`.
        """
        home = self._homes.get(asyncio.get_running_loop())
        link = None if home is None else home.ways.link
        if home is None or link is None or link.full:
            return False
        script.check(len(keys), len(args))
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))

        def answered(sent: asyncio.Future[Any]) -> None:
            error = sent.exception()
            if isinstance(error, NotWrittenError | ReplyError):
                refused = (link, error) if isinstance(error, ReplyError) else None
                home.deliver_soon(data, keys[0] if keys else None, script, refused, done)
            else:
                done(None if error is not None else sent.result(), error)

        link.send(data).add_done_callback(answered)
        link.flush()
        return True

    async def line(self, key: str, *, name: str | None = None) -> Line:
        """Open a connection apart, for commands that block, to the server that has a key.

        Parameters:
            key: What it will wait for.
            name: What `CLIENT LIST` shows.
        """
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        return await home.open_line(key, name)

    async def nodes(self) -> list[Node]:
        """Return the primaries: all of a Cluster, or the only server."""
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        slots = await home.know()
        if slots is None:
            return [Node(self, None)]
        return [Node(self, place) for place in slots.places]

    async def call_node(self, place: Place | None, *command: Word) -> Any:
        """Send a command to one node, as `Node.call` does."""
        home = self._homes.get(asyncio.get_running_loop()) or self._home()
        return await home.ask_node(place, pack(command))

    def slot(self, key: str) -> int | None:
        """Return a key's slot; None if the server is no Cluster, as known after the first call."""
        return slot_of(key) if self._known.slots is not None else None

    def call_blocking(self, *command: Word, timeout_s: float = BLOCKING_S) -> Any:
        """`call` for a plain thread, over connections that no event loop of the user's holds up.

        Raises:
            StoreUnreachableError: Also if it took longer than `timeout_s`.
        """
        self.check_open()
        return self._thread.run(lambda: self.call(*command), timeout_s, self.address.shown)

    def many_blocking(
        self, commands: Sequence[Sequence[Word]], *, timeout_s: float = BLOCKING_S
    ) -> list[Any]:
        """`many` for a plain thread."""
        self.check_open()
        return self._thread.run(lambda: self.many(commands), timeout_s, self.address.shown)

    def run_blocking(
        self, script: Script, keys: Sequence[str], *args: Word, timeout_s: float = BLOCKING_S
    ) -> Any:
        """`run` for a plain thread."""
        self.check_open()
        return self._thread.run(
            lambda: self.run(script, keys, *args), timeout_s, self.address.shown
        )

    async def close(self) -> None:
        """Close all connections of all loops, and the thread. Twice is fine.

        Calls under way get a moment to be answered; new ones raise `BackendClosedError`.
        """
        with self._lock:
            self._closed = True
            homes, self._homes = self._homes, {}
        here = homes.pop(asyncio.get_running_loop(), None)
        elsewhere = [
            asyncio.run_coroutine_threadsafe(home.close_and_wait(), loop)
            for loop, home in homes.items()
            if loop.is_running()
        ]
        for loop, home in homes.items():
            if loop.is_closed():
                _bury([home])
            elif not loop.is_running():
                loop.call_soon_threadsafe(home.close)
        if here is not None:
            await here.close_and_wait()
        # A loop that is blocked does it later.
        await asyncio.to_thread(concurrent.futures.wait, elsewhere, 2 * CLOSE_S)
        await asyncio.to_thread(self._thread.stop)

    def forget_loops(self) -> None:
        """Let go of the connections of event loops that were closed meanwhile."""
        with self._lock:
            ended = [loop for loop in self._homes if loop.is_closed()]
            homes = [self._homes.pop(loop) for loop in ended]
        _bury(homes)

    def _home(self) -> Home:
        """Return what is new for this loop."""
        self.forget_loops()
        loop = asyncio.get_running_loop()
        with self._lock:
            self.check_open()
            home = self._homes[loop] = Home(loop, self._known)
        return home

    def check_open(self) -> None:
        """Raise `BackendClosedError` if it was closed."""
        if self._closed:
            raise BackendClosedError(f"{self.address.shown}: the store was closed")

    def _check_slots(self, keys: Sequence[str]) -> None:
        if len(set(map(slot_of, keys))) > 1:
            raise InvalidOptionError(
                f"keys={list(keys)!r}: expected keys of one slot of the cluster. What is used"
                " together needs one hash tag: the same text in braces, as in '{mail}:a' and"
                " '{mail}:b'."
            )


class Node:
    """One primary."""

    def __init__(self, client: Client, place: Place | None) -> None:
        self._client = client
        self._place = place

    @property
    def name(self) -> str:
        """Return its host and port, or the client's address if it is the only server."""
        return self._client.address.shown if self._place is None else show_place(self._place)

    async def call(self, *command: Word) -> Any:
        """Send a command to this node and return its reply."""
        return await self._client.call_node(self._place, *command)


def _bury(homes: list[Home]) -> None:
    """Let go of connections whose loop was closed without closing them: nobody can any more."""
    transports = [transport for home in homes for transport in home.drop()]
    if not transports:
        return
    with warnings.catch_warnings():  # it is what is being mended here
        warnings.simplefilter("ignore", ResourceWarning)
        transports.clear()
        gc.collect()  # those with TLS hold themselves
