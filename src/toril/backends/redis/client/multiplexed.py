"""The client: routes commands and scripts to the right server, from any thread and event loop.

Read next: `connection.py` (one connection), `routing.py` (retries and redirections).
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import threading
import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from toril.backends.redis.client.address import Address, Endpoint, show_endpoint
from toril.backends.redis.client.cluster import first_key, slot_of
from toril.backends.redis.client.connection import NotWrittenError
from toril.backends.redis.client.dedicated_connection import DedicatedConnection
from toril.backends.redis.client.loop_thread import LoopThread
from toril.backends.redis.client.port import SYNC_S, Script
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.routing import CLOSE_S, Router
from toril.backends.redis.client.topology import ClientState
from toril.core.errors import BackendClosedError, InvalidOptionError

NEVER_THERE = ":toril:none"
"""End of a key that never exists, which in a Cluster scripts are given that make keys themselves.

While a slot moves to another node, a server runs a command only if all its keys are there, and asks
to try again otherwise. Keys that a script makes of a queue's `meta` the server cannot see: without
this one it would run half, up to a key that has moved already.
"""

T = TypeVar("T")


class MultiplexedClient:
    """The port `Client`: many callers share one connection per event loop and server."""

    def __init__(self, address: Address) -> None:
        """Make a client; the first call opens a connection."""
        self.address = address
        self.shared = ClientState(address)
        """What its event loops share, and the hooks of its owner."""
        self._routers: dict[asyncio.AbstractEventLoop, Router] = {}
        self._lock = threading.Lock()
        self._thread = LoopThread()
        self._closed = False

    @property
    def clustered(self) -> bool | None:
        return self.shared.clustered

    async def call(self, *command: Argument) -> Any:
        data = pack(command)
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        connection = router.topology.connection or router.topology.nearby(first_key(command))
        refused = None
        if connection is not None and not connection.full:
            try:
                return await connection.send(data)
            except NotWrittenError:
                pass
            except ReplyError as error:
                refused = connection, error
        return await router.deliver(data, first_key(command), None, refused)

    async def many(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        if not commands:
            return []
        packed = [pack(tuple(command)) for command in commands]
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        if self.shared.clustered is None:
            await router.ready()
        if self.shared.slots is None:
            return await router.deliver_many(packed, [None] * len(packed))
        return await router.deliver_many(packed, list(map(first_key, commands)))

    async def run(self, script: Script, keys: Sequence[str], *args: Argument) -> Any:
        script.check(len(keys), len(args))
        if self.shared.slots is not None and script.makes_keys:
            keys = [*keys, f"{keys[0]}{NEVER_THERE}"]
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        key = keys[0] if keys else None
        connection = router.topology.connection
        if connection is None and self.shared.slots is not None:
            if len(keys) > 1:
                self._check_slots(keys)
            connection = router.topology.nearby(key)
        refused = None
        if connection is not None and not connection.full:
            try:
                return await connection.send(data)
            except NotWrittenError:
                pass
            except ReplyError as error:
                refused = connection, error
        return await router.deliver(data, key, script, refused)

    def start(
        self,
        script: Script,
        keys: Sequence[str],
        *args: Argument,
        done: Callable[[Any, BaseException | None], None],
    ) -> bool:
        router = self._routers.get(asyncio.get_running_loop())
        connection = None if router is None else router.topology.connection
        if router is None or connection is None or connection.full:
            return False
        script.check(len(keys), len(args))
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))

        def answered(sent: asyncio.Future[Any]) -> None:
            error = sent.exception()
            if isinstance(error, NotWrittenError | ReplyError):
                refused = (connection, error) if isinstance(error, ReplyError) else None
                router.deliver_soon(data, keys[0] if keys else None, script, refused, done)
            else:
                done(None if error is not None else sent.result(), error)

        connection.send(data).add_done_callback(answered)
        connection.flush()
        return True

    async def open_blocking(self, key: str, *, name: str | None = None) -> DedicatedConnection:
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        return await router.open_blocking(key, name)

    async def nodes(self) -> list[PrimaryNode]:
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        slots = await router.know()
        if slots is None:
            return [PrimaryNode(self, None)]
        return [PrimaryNode(self, endpoint) for endpoint in slots.endpoints]

    async def call_node(self, endpoint: Endpoint | None, *command: Argument) -> Any:
        """Send a command to one node. None: to the only server."""
        router = self._routers.get(asyncio.get_running_loop()) or self._router()
        return await router.ask_node(endpoint, pack(command))

    def slot(self, key: str) -> int | None:
        return slot_of(key) if self.shared.slots is not None else None

    def sync(self, call: Callable[[], Coroutine[Any, Any, T]], *, timeout_s: float = SYNC_S) -> T:
        self.check_open()
        return self._thread.run(call, timeout_s, self.address.shown)

    async def close(self) -> None:
        """Close all connections of all loops, and the thread. Twice is fine.

        Calls under way get a moment to be answered; new ones raise `BackendClosedError`.
        """
        with self._lock:
            self._closed = True
            routers, self._routers = self._routers, {}
        here = routers.pop(asyncio.get_running_loop(), None)
        elsewhere = [
            asyncio.run_coroutine_threadsafe(router.close_and_wait(), loop)
            for loop, router in routers.items()
            if loop.is_running()
        ]
        for loop, router in routers.items():
            if loop.is_closed():
                _bury([router])
            elif not loop.is_running():
                loop.call_soon_threadsafe(router.close)
        if here is not None:
            await here.close_and_wait()
        # A loop that is blocked does it later.
        await asyncio.to_thread(concurrent.futures.wait, elsewhere, 2 * CLOSE_S)
        await asyncio.to_thread(self._thread.stop)

    def forget_loops(self) -> None:
        """Let go of the connections of event loops that were closed meanwhile."""
        with self._lock:
            ended = [loop for loop in self._routers if loop.is_closed()]
            routers = [self._routers.pop(loop) for loop in ended]
        _bury(routers)

    def _router(self) -> Router:
        """Return what is new for this loop."""
        self.forget_loops()
        loop = asyncio.get_running_loop()
        with self._lock:
            self.check_open()
            router = self._routers[loop] = Router(loop, self.shared)
        return router

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


class PrimaryNode:
    """The port `Node`."""

    def __init__(self, client: MultiplexedClient, endpoint: Endpoint | None) -> None:
        self._client = client
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        return (
            self._client.address.shown if self._endpoint is None else show_endpoint(self._endpoint)
        )

    async def call(self, *command: Argument) -> Any:
        return await self._client.call_node(self._endpoint, *command)


def _bury(routers: list[Router]) -> None:
    """Let go of connections whose loop was closed without closing them: nobody can any more."""
    transports = [transport for router in routers for transport in router.drop()]
    if not transports:
        return
    with warnings.catch_warnings():  # it is what is being mended here
        warnings.simplefilter("ignore", ResourceWarning)
        transports.clear()
        gc.collect()  # those with TLS hold themselves
