"""Routes the calls of one event loop, and retries those that the server did not run.

`MultiplexedClient.call` sends a command itself while a connection is open. All other cases are
here: waiting for a connection, a server that is no longer the primary, a script that is not loaded,
redirections of a Cluster. A command is retried only if the server said that it did not run it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial

from toril.backends.redis.client.address import Endpoint
from toril.backends.redis.client.cluster import Slots, parse_redirection
from toril.backends.redis.client.connection import Connection, NotWrittenError
from toril.backends.redis.client.dedicated_connection import DedicatedConnection
from toril.backends.redis.client.failover_watch import FailoverWatch
from toril.backends.redis.client.managed_connection import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    ManagedConnection,
)
from toril.backends.redis.client.port import Script
from toril.backends.redis.client.protocol import Argument, ReplyError, pack
from toril.backends.redis.client.refusals import (
    code,
    denied,
    is_denied_inside,
    is_read_only,
    translate,
)
from toril.backends.redis.client.topology import ClientState, Topology
from toril.core.errors import StoreUnreachableError, TorilError

MAX_MENDED = {"NOSCRIPT": 3, "MOVED": 16, "ASK": 16, "TRYAGAIN": 8, "NOREPLICAS": 1}
"""How often a command is sent again after a refusal of this kind. `TRYAGAIN` pauses between."""
CLOSE_S = 2.0
"""For how long calls under way are waited for when the client is closed, in seconds."""
DEDICATED_S = 2.0
"""For how long a new connection for commands that block may say nothing, in seconds."""
_ASKING = pack(("ASKING",))


class Router:
    """A client's part in one event loop. Used in its thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, shared: ClientState) -> None:
        self.topology = Topology(loop, shared)
        self._loop = loop
        self._timeout_s = shared.address.connect_timeout_s
        self._watch = FailoverWatch(loop, self.topology, self.deliver)
        self._delivering: set[asyncio.Task[object]] = set()
        self._closed = False
        guard = _until_the_loop_ends(self)
        with contextlib.suppress(StopIteration):  # up to its yield: the loop knows it from then on
            guard.asend(None).send(None)
        self._guard: AsyncGenerator[None, None] | None = guard

    async def deliver(
        self,
        data: bytes,
        key: str | None,
        script: Script | None = None,
        refused: tuple[Connection, ReplyError] | None = None,
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
        asked: Endpoint | None = None
        mended: Counter[str] = Counter()
        while True:
            if refused is not None:
                if key is not None and is_denied_inside(str(refused[1])):
                    raise await self._denied(*refused, key=key) from None
                asked = await self._mend(*refused, asked=asked, script=script, mended=mended)
                refused = None
            connection = await self.topology.reach(key, asked)
            try:
                if asked is None:
                    return await connection.send(data)
                _, reply = await connection.send_many(_ASKING + data, 2)
                if reply.__class__ is ReplyError:
                    raise reply
                return reply
            except NotWrittenError:
                continue
            except ReplyError as error:
                refused = connection, error

    def deliver_soon(
        self,
        data: bytes,
        key: str | None,
        script: Script | None,
        refused: tuple[Connection, ReplyError] | None,
        done: Callable[[object, BaseException | None], None],
    ) -> None:
        """`deliver` in a task of its own; `done` is called with the reply, or with the error."""

        def ended(task: asyncio.Task[object]) -> None:
            self._delivering.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            done(None if error is not None else task.result(), error)

        task = self._loop.create_task(self.deliver(data, key, script, refused))
        self._delivering.add(task)
        task.add_done_callback(ended)

    async def deliver_many(
        self, packed: Sequence[bytes], keys: Sequence[str | None]
    ) -> list[object]:
        """Send commands, in one write a node, and return their replies in the same order.

        Raises:
            TorilError: The first refusal, after all were answered.
        """
        parts: dict[ManagedConnection, list[int]] = {}
        for index, key in enumerate(keys):
            parts.setdefault(self.topology.managed_for(key), []).append(index)
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
        data = b"".join(packed[index] for index in part)
        while True:
            connection = await self.topology.reach(keys[part[0]])
            try:
                replies = await connection.send_many(data, len(part))
                break
            except NotWrittenError:
                continue
        for index, reply in zip(part, replies, strict=True):
            answers[index] = reply
            if isinstance(reply, ReplyError):
                try:
                    answers[index] = await self.deliver(
                        packed[index], keys[index], None, (connection, reply)
                    )
                except TorilError as error:
                    answers[index] = error

    async def ask_node(self, endpoint: Endpoint | None, data: bytes) -> object:
        """Send a command to one node. None: the only server."""
        while True:
            connection = await self.topology.reach(None, endpoint)
            try:
                return await connection.send(data)
            except NotWrittenError:
                continue
            except ReplyError as error:
                raise self.refusal(connection, error) from None

    async def ready(self) -> None:
        """Have a connection; it is known then whether this is a Cluster."""
        await self.topology.reach(None)

    async def know(self) -> Slots | None:
        """Return the slots of a Cluster, asked for anew; None if it is no Cluster."""
        await self.ready()
        await self.topology.refresh(self._loop.time() + self._timeout_s)
        return self.topology.shared.slots

    async def open_blocking(self, key: str, name: str | None) -> DedicatedConnection:
        """Open a connection apart to the server that has a key."""
        until_s = self._loop.time() + self._timeout_s
        pause_s = FIRST_PAUSE_S
        while True:
            await self.topology.reach(key, until_s=until_s)
            try:
                blocking = await self._open_dedicated(key, name)
                break
            except StoreUnreachableError:
                if self._loop.time() + pause_s >= until_s:
                    raise
                await self.topology.refresh(until_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - only to spread
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        if self._closed:  # meanwhile
            blocking.connection.abort("the client was closed", by_us=True)
            self.topology.check_open()
        if not blocking.closed:
            self._watch.add(blocking, key)
        return blocking

    def refusal(self, connection: Connection, error: ReplyError) -> TorilError:
        """Return the error of a refusal, and draw the conclusions."""
        text = str(error)
        if is_read_only(text):
            connection.retire()
        elif code(text) == "MOVED":
            self.topology.note_move(connection, text)
        elif code(text) in ("CLUSTERDOWN", "NOREPLICAS"):
            self.topology.look_soon()
        return translate(text, connection.shown, user=connection.user)

    def close(self) -> None:
        """Close all connections at once."""
        self._closed = True
        guard, self._guard = self._guard, None
        if guard is not None and not _is_running(guard):  # else it is what calls this
            with contextlib.suppress(StopIteration):
                guard.aclose().send(None)
        self._watch.close()
        for connection in self.topology.close():
            connection.abort("the client was closed", by_us=True)

    async def close_and_wait(self) -> None:
        """Close once what is under way is answered, or was given a moment for it."""
        self._closed = True
        connections = self.topology.close()
        self._watch.close()  # they block: what they wait for may never come
        for connection in connections:
            connection.retire()
        try:
            async with asyncio.timeout(CLOSE_S):
                for connection in connections:
                    await connection.gone()
        except TimeoutError:
            for connection in connections:
                connection.abort("the client was closed", by_us=True)
                await connection.gone()
        finally:
            self.close()

    def drop(self) -> list[object]:
        """Forget the connections of a loop that was closed, and return their transports."""
        connections = [*self._watch.connections(), *self.topology.connections()]
        self.topology.connection = None
        dropped = (connection.drop() for connection in connections)
        return [transport for transport in dropped if transport is not None]

    async def _open_dedicated(self, key: str, name: str | None) -> DedicatedConnection:
        connection, endpoint = await self.topology.open_dedicated(key, name)
        try:
            # Number 0 is nobody's: it is only asked whether a call that blocks may be ended.
            # Its server may have frozen just now, and such a connection has no time-out of its own.
            async with asyncio.timeout(DEDICATED_S):
                number, told = await connection.send_many(
                    pack(("CLIENT", "ID")) + pack(("CLIENT", "UNBLOCK", 0)), 2
                )
        except TimeoutError:
            connection.abort("no answer")
            raise StoreUnreachableError(
                f"{connection.shown}: cannot be reached: no answer within {DEDICATED_S:g} s.",
                sent=False,
            ) from None
        except (NotWrittenError, StoreUnreachableError):
            raise StoreUnreachableError(
                f"{connection.shown}: cannot be reached: it hung up.", sent=False
            ) from None
        except BaseException:
            connection.abort("it was not wanted")
            raise
        tell = partial(self.ask_node, endpoint)
        may_tell = not isinstance(told, ReplyError) and not isinstance(number, ReplyError)
        return DedicatedConnection(
            connection, int(number) if may_tell else None, refusal=self.refusal, tell=tell
        )

    async def _mend(
        self,
        connection: Connection,
        error: ReplyError,
        *,
        asked: Endpoint | None,
        script: Script | None,
        mended: Counter[str],
    ) -> Endpoint | None:
        """Remove the cause of a refusal; return the node to ask, if it is not the keys' own.

        Raises:
            TorilError: It cannot be removed, or came back too often.
        """
        text = str(error)
        kind = code(text)
        if mended[kind] >= MAX_MENDED.get(kind, 0) or (kind == "NOSCRIPT" and script is None):
            raise self.refusal(connection, error) from None
        mended[kind] += 1
        if kind == "NOSCRIPT" and script is not None:
            # If that fails, the command still was not run: another connection may take both.
            with contextlib.suppress(NotWrittenError, StoreUnreachableError):
                await self._load(connection, script)
        elif kind == "TRYAGAIN":
            pause_s = min(0.01 * 2 ** mended[kind], 0.5)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - to spread them
        elif kind == "NOREPLICAS":
            # It was cut off from its replicas, one of which may be the primary by now.
            if self.topology.may_move:
                await self.topology.look()
            if not connection.closed:
                raise self.refusal(connection, error) from None
        elif kind == "ASK":
            return parse_redirection(text, connection.host)[1]
        else:
            self.topology.note_move(connection, text)
            return None
        return asked

    async def _denied(self, connection: Connection, error: ReplyError, *, key: str) -> TorilError:
        """Return the error of a script that was denied a command. The error names the command."""
        lacking = ""
        if self.topology.shared.find_lacking is not None:
            with contextlib.suppress(TorilError):
                lacking = await self.topology.shared.find_lacking(self.run, key)
        return denied(str(error), connection.shown, connection.user, lacking)

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Run a script on the server that has its first key."""
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        return await self.deliver(data, keys[0], script)

    async def _load(self, connection: Connection, script: Script) -> None:
        """Give a server a script. Many may find it missing at once: it is sent once."""
        loading = connection.loading.get(script.sha)
        if loading is None:
            loading = connection.send(pack(("SCRIPT", "LOAD", script.text)))
            connection.loading[script.sha] = loading
            loading.add_done_callback(lambda _: connection.loading.pop(script.sha, None))
        try:
            await asyncio.shield(loading)
        except ReplyError as error:
            raise self.refusal(connection, error) from None


def _is_running(generator: AsyncGenerator[None, None]) -> bool:
    return bool(getattr(generator, "ag_running", False))  # its type has it, the protocol has not


async def _until_the_loop_ends(router: Router) -> AsyncGenerator[None, None]:
    """Close what is open when a loop ends in order: it closes its asynchronous generators then."""
    try:
        yield
    finally:
        router.close()
