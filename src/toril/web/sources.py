"""Where streams of live events come from: one follower of the store for all who listen.

A source is started by its first listener and stopped with its last, so that the store is asked as
much by one open page as by fifty, and not at all by none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from toril.app import App
from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.events import EventRecord
from toril.engine.stream import pages
from toril.fallback.breaker import Switch
from toril.fallback.info import StoreState

log = logger("toril.web")

MOST_BEHIND = 1000
"""Messages that wait for one listener. One that is further behind is let go: it comes back, and
reads what it missed from the store."""
RESTS = 20
"""How many times as long as they took to read, figures are left alone: a store of very many queues
has other things to do."""
AGAIN_S = 1.0
"""After how long a source that failed asks the store again."""

Message = tuple[str, Any]
"""A word and what it is about."""


class Listener:
    """One stream's view of its sources: messages in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Message | None] = asyncio.Queue()
        self.behind = False
        """It was too slow: nothing more comes."""

    def tell(self, word: str, subject: Any) -> None:
        """Add a message."""
        if self.behind:
            return
        if self._waiting.qsize() >= MOST_BEHIND:
            self.behind = True
            self._waiting.put_nowait(None)
            return
        self._waiting.put_nowait((word, subject))

    def end(self) -> None:
        """Let the stream end after what is waiting."""
        self._waiting.put_nowait(None)

    async def next(self, timeout_s: float) -> Message | None:
        """Return the next message; None: there will be none.

        Raises:
            TimeoutError: None came in time.
        """
        async with asyncio.timeout(timeout_s):
            return await self._waiting.get()


class Source:
    """Follows something in the store while somebody listens."""

    def __init__(self, follow: Callable[[Source], Awaitable[None]]) -> None:
        """Prepare to follow.

        Parameters:
            follow: Follows until it is cancelled, and tells `tell`.
        """
        self._follow = follow
        self._listeners: set[Listener] = set()
        self._task: asyncio.Task[None] | None = None
        self.begun = False
        """It follows: whatever happens from now on is told."""
        self.newest: Any = None
        """What a new listener is told first. None: nothing."""

    def add(self, listener: Listener) -> None:
        """Tell a listener from now on."""
        self._listeners.add(listener)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def remove(self, listener: Listener) -> None:
        """Tell a listener no more; stop with the last one."""
        self._listeners.discard(listener)
        if not self._listeners:
            await self.stop()

    def tell(self, word: str, subject: Any) -> None:
        """Tell all who listen."""
        for listener in self._listeners:
            listener.tell(word, subject)

    async def stop(self) -> None:
        """Stop following."""
        task, self._task, self.newest, self.begun = self._task, None, None, False
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        while True:
            try:
                await self._follow(self)
            except TorilError as error:  # the store is away: ask again until it is back
                log.warning("live events wait for the store: %s", error)
                self.tell("away", str(error))
            except Exception:
                log.exception("live events were interrupted")
            await asyncio.sleep(AGAIN_S)


def queue_source(app: App, queue: str) -> Source:
    """Return a source of a queue's events: words `events`, each with a list of them."""
    position: list[int] = []

    async def follow(source: Source) -> None:
        events = app.backend().events
        if not position:
            position.append(await events.latest(queue))
        source.begun = True
        async for page in pages(events, queue, after=position[0]):
            position[0] = page[-1].position
            source.tell("events", (queue, page))

    return Source(follow)


def pause_s(tick_s: float, took_s: float) -> float:
    """Return how long to wait until figures are read again, if it took so long to read them."""
    return max(tick_s, took_s * RESTS)


def figures_source(app: App, tick_s: float) -> Source:
    """Return a source of figures: words `figures`, each with all queues and workers."""

    async def follow(source: Source) -> None:
        while True:
            began_s = monotonic()
            queues, workers = await asyncio.gather(app.queues(), app.workers())
            source.newest, source.begun = (queues, workers), True
            source.tell("figures", source.newest)
            await asyncio.sleep(pause_s(tick_s, monotonic() - began_s))

    return Source(follow)


def store_source(app: App, tick_s: float) -> Source:
    """Return a source of which store is live.

    Words: `switched` for each switch, then `store` for the state if anything of it has changed.
    """

    async def follow(source: Source) -> None:
        told: Switch | None = None
        while True:
            state = await app.store_state()
            if not source.begun:
                source.begun = True
                told = state.latest[-1] if state.latest else None
            for switch in _after(state.latest, told):
                told = switch
                source.tell("switched", _facts_of_switch(switch))
            facts = _facts_of_store(state)
            if facts != source.newest:
                source.newest = facts
                source.tell("store", facts)
            await asyncio.sleep(tick_s)

    return Source(follow)


def _after(switches: Sequence[Switch], told: Switch | None) -> Sequence[Switch]:
    """Return the switches after one that was told already."""
    return switches[switches.index(told) + 1 :] if told in switches else switches


def _facts_of_switch(switch: Switch) -> dict[str, Any]:
    return {
        "from": switch.source, "to": switch.target, "at": switch.at, "reason": switch.reason
    }  # fmt: skip


def _facts_of_store(state: StoreState) -> dict[str, Any]:
    return {
        "store": state.live, "type": state.type, "since": state.since, "reason": state.reason,
        "to_move": state.to_move, "moving": state.moving,
    }  # fmt: skip


async def missed(app: App, queue: str, after: int, most: int) -> tuple[list[EventRecord], int]:
    """Return events after a position that are kept, and the position of the last of them."""
    found: list[EventRecord] = []
    async for page in pages(app.backend().events, queue, after=after, until_idle=True):
        found += page
        if len(found) >= most:
            break
    return found, found[-1].position if found else after
