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
from functools import partial

from toril.backends.redis import rights
from toril.backends.redis.address import Place
from toril.backends.redis.cluster import Slots, parse_redirection
from toril.backends.redis.line import Line
from toril.backends.redis.lines import Lines
from toril.backends.redis.link import Link, NotWrittenError
from toril.backends.redis.protocol import ReplyError, Word, pack
from toril.backends.redis.replies import (
    code,
    denied,
    is_denied_inside,
    is_read_only,
    translate,
)
from toril.backends.redis.routes import FIRST_PAUSE_S, LONGEST_PAUSE_S, Route
from toril.backends.redis.scripts import Script
from toril.backends.redis.ways import Known, Ways
from toril.core.errors import StoreUnreachableError, TorilError

MAX_MENDED = {"NOSCRIPT": 3, "MOVED": 16, "ASK": 16, "TRYAGAIN": 8, "NOREPLICAS": 1}
"""How often a command is sent again after a refusal of this kind. `TRYAGAIN` pauses between."""
CLOSE_S = 2.0
"""For how long calls under way are waited for when the client is closed, in seconds."""
_ASKING = pack(("ASKING",))


class Home:
    """A client's part in one event loop. Used in its thread only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, known: Known) -> None:
        self.ways = Ways(loop, known)
        self._loop = loop
        self._timeout_s = known.address.connect_timeout_s
        self._lines = Lines(loop, self.ways, self.deliver)
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
                if key is not None and is_denied_inside(str(refused[1])):
                    raise await self._denied(*refused, key=key) from None
                asked = await self._mend(*refused, asked=asked, script=script, mended=mended)
                refused = None
            link = await self.ways.reach(key, asked)
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

    def deliver_soon(
        self,
        data: bytes,
        key: str | None,
        script: Script | None,
        refused: tuple[Link, ReplyError] | None,
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
        parts: dict[Route, list[int]] = {}
        for place, key in enumerate(keys):
            parts.setdefault(self.ways.route(key), []).append(place)
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
            link = await self.ways.reach(keys[part[0]])
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
            link = await self.ways.reach(None, place)
            try:
                return await link.send(data)
            except NotWrittenError:
                continue
            except ReplyError as error:
                raise self.refusal(link, error) from None

    async def ready(self) -> None:
        """Have a connection; it is known then whether this is a Cluster."""
        await self.ways.reach(None)

    async def know(self) -> Slots | None:
        """Return the slots of a Cluster, asked for anew; None if it is no Cluster."""
        await self.ready()
        await self.ways.refresh(self._loop.time() + self._timeout_s)
        return self.ways.known.slots

    async def open_line(self, key: str, name: str | None) -> Line:
        """Open a connection apart to the server that has a key."""
        until_s = self._loop.time() + self._timeout_s
        pause_s = FIRST_PAUSE_S
        while True:
            await self.ways.reach(key, until_s=until_s)
            try:
                line = await self._open_apart(key, name)
                break
            except StoreUnreachableError:
                if self._loop.time() + pause_s >= until_s:
                    raise
                await self.ways.refresh(until_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - only to spread
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        if self._closed:  # meanwhile
            line.link.abort("the client was closed", by_us=True)
            self.ways.check_open()
        if not line.closed:
            self._lines.add(line, key)
        return line

    def refusal(self, link: Link, error: ReplyError) -> TorilError:
        """Return the error of a refusal, and draw the conclusions."""
        text = str(error)
        if is_read_only(text):
            link.retire()
        elif code(text) == "MOVED":
            self.ways.note_move(link, text)
        elif code(text) in ("CLUSTERDOWN", "NOREPLICAS"):
            self.ways.look_soon()
        return translate(text, link.shown, user=link.user)

    def close(self) -> None:
        """Close all connections at once."""
        self._closed = True
        guard, self._guard = self._guard, None
        if guard is not None and not _is_running(guard):  # else it is what calls this
            with contextlib.suppress(StopIteration):
                guard.aclose().send(None)
        self._lines.close()
        for link in self.ways.close():
            link.abort("the client was closed", by_us=True)

    async def close_and_wait(self) -> None:
        """Close once what is under way is answered, or was given a moment for it."""
        self._closed = True
        links = self.ways.close()
        self._lines.close()  # they block: what they wait for may never come
        for link in links:
            link.retire()
        try:
            async with asyncio.timeout(CLOSE_S):
                for link in links:
                    await link.gone()
        except TimeoutError:
            for link in links:
                link.abort("the client was closed", by_us=True)
                await link.gone()
        finally:
            self.close()

    def drop(self) -> list[object]:
        """Forget the connections of a loop that was closed, and return their transports."""
        links = [*self._lines.links(), *self.ways.links()]
        self.ways.link = None
        dropped = (link.drop() for link in links)
        return [transport for transport in dropped if transport is not None]

    async def _open_apart(self, key: str, name: str | None) -> Line:
        link, place = await self.ways.open_apart(key, name)
        try:
            # Number 0 is nobody's: it is only asked whether a call that blocks may be ended.
            number, told = await link.send_many(
                pack(("CLIENT", "ID")) + pack(("CLIENT", "UNBLOCK", 0)), 2
            )
        except (NotWrittenError, StoreUnreachableError):
            raise StoreUnreachableError(
                f"{link.shown}: cannot be reached: it hung up.", sent=False
            ) from None
        except BaseException:
            link.abort("it was not wanted")
            raise
        tell = partial(self.ask_node, place)
        may_tell = not isinstance(told, ReplyError) and not isinstance(number, ReplyError)
        return Line(link, int(number) if may_tell else None, refusal=self.refusal, tell=tell)

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
            # If that fails, the command still was not run: another connection may take both.
            with contextlib.suppress(NotWrittenError, StoreUnreachableError):
                await self._load(link, script)
        elif kind == "TRYAGAIN":
            pause_s = min(0.01 * 2 ** mended[kind], 0.5)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - to spread them
        elif kind == "NOREPLICAS":
            # It was cut off from its replicas, one of which may be the primary by now.
            if self.ways.may_move:
                await self.ways.look()
            if not link.closed:
                raise self.refusal(link, error) from None
        elif kind == "ASK":
            return parse_redirection(text, link.host)[1]
        else:
            self.ways.note_move(link, text)
            return None
        return asked

    async def _denied(self, link: Link, error: ReplyError, *, key: str) -> TorilError:
        """Return the error of a script that was denied a command. The error names the command."""
        try:
            lacking = await rights.refused(self.run, key, rights.NEEDED)
        except TorilError:
            lacking = None
        return denied(str(error), link.shown, link.user, rights.names(lacking or ()))

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Word]) -> object:
        """Run a script on the server that has its first key."""
        data = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        return await self.deliver(data, keys[0], script)

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


def _is_running(generator: AsyncGenerator[None, None]) -> bool:
    return bool(getattr(generator, "ag_running", False))  # its type has it, the protocol has not


async def _until_the_loop_ends(home: Home) -> AsyncGenerator[None, None]:
    """Close what is open when a loop ends in order: it closes its asynchronous generators then."""
    try:
        yield
    finally:
        home.close()
