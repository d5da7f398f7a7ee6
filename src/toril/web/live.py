"""Streams of live events, by Server-Sent Events.

A stream is told `overview` (figures that have changed), `workers`, `store` and `switched` (which
store is live), and `event` (of the queues that it names). Each `event` has an id; a caller that
comes back with it as `Last-Event-ID` gets what it missed, as far as the store keeps it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any
from urllib.parse import parse_qsl, urlencode

from toril.app import App
from toril.core.errors import BackendError
from toril.core.ids import check_existing_queue_name
from toril.engine.events import EventRecord
from toril.engine.info import QueueInfo, WorkerInfo
from toril.web.access.port import Throttled, Unauthenticated
from toril.web.answering import without_ages
from toril.web.call import Call
from toril.web.encoding import encode
from toril.web.listing import event_list, worker_list
from toril.web.options import ServerOptions
from toril.web.problems import Problem
from toril.web.sources import Listener, Source, figures_source, missed, queue_source, store_source

MOST_TOPICS = 20
"""Queues of one stream: each is followed on a connection of its own."""
MOST_MISSED = 5_000
"""Events that a caller which comes back is given at most."""
KNOWN_FOR_S = 30.0
"""How often a stream asks whether its caller is still known: a key or a session may end."""
ASK = "ask"
"""A word among the messages of a stream, which is not passed on: ask now."""
AGAIN_MS = 2_000
"""After how long a caller whose stream has ended should come back."""


class Topics:
    """What a stream is about."""

    __slots__ = ("overview", "queues", "store", "workers")

    def __init__(
        self, *, overview: bool, workers: bool, queues: Sequence[str], store: bool = False
    ) -> None:
        self.overview = overview
        self.workers = workers
        self.store = store
        self.queues = tuple(queues)


def parse_topics(text: str) -> Topics:
    """Return the topics that a caller names.

    Raises:
        Problem: One is none, or there are too many.
    """
    overview = workers = store = False
    queues: dict[str, None] = {}
    for topic in text.split(","):
        kind, colon, name = topic.strip().partition(":")
        if kind == "overview" and not colon:
            overview = True
        elif kind == "workers" and not colon:
            workers = True
        elif kind == "store" and not colon:
            store = True
        elif kind == "queue" and name:
            queues[check_existing_queue_name(name)] = None
        else:
            raise Problem(
                422,
                "unknown_topic",
                f"topics={topic[:100]!r}: expected overview, workers, store or queue:NAME",
                field="topics",
                allowed=["overview", "workers", "store", "queue:NAME"],
            )
    if len(queues) > MOST_TOPICS:
        raise Problem(
            422, "too_many_topics", f"topics: {len(queues)} queues; at most {MOST_TOPICS}",
            field="topics",
        )  # fmt: skip
    return Topics(overview=overview, workers=workers, store=store, queues=list(queues))


class Live:
    """All streams of one server."""

    def __init__(self, app: App, options: ServerOptions) -> None:
        self._app = app
        self._options = options
        self._figures = figures_source(app, options.tick_s)
        self._store = store_source(app, options.tick_s)
        self._queues: dict[str, tuple[Source, int]] = {}
        self._listeners: set[Listener] = set()
        self._closing = False

    @property
    def open(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    @property
    def follows_figures(self) -> bool:
        """Whether figures were read, and are read again."""
        return self._figures.begun

    @property
    def sources(self) -> dict[str, tuple[Source, int]]:
        """The queues that are followed, and by how many streams."""
        return self._queues

    def ask_again(self) -> None:
        """Have each stream ask at once whether its caller is who it was: rights were taken."""
        for listener in self._listeners:
            listener.tell(ASK, None)

    async def close(self) -> None:
        """End all streams, and begin no other."""
        self._closing = True
        for listener in self._listeners:
            listener.end()
        await self._figures.stop()
        await self._store.stop()
        for source, _ in list(self._queues.values()):
            await source.stop()

    def check_room(self) -> None:
        """Refuse another stream if there are as many as may be.

        Raises:
            Problem: There are, or the server is stopping.
        """
        if self._closing or len(self._listeners) >= self._options.max_streams:
            text = "the server stops" if self._closing else "too many streams are open"
            raise Problem(
                503, "no_stream", f"{text}: come back, or ask every few seconds instead",
                headers={"retry-after": "5"},
            )  # fmt: skip

    async def stream(self, topics: Topics, call: Call) -> AsyncIterator[bytes]:
        """Yield a stream's text, message by message, until the caller leaves.

        Parameters:
            topics: What it is about.
            call: Who listens, and the id of the last message that it had.
        """
        listener = Listener()
        seen = call.headers.get("last-event-id")
        positions = {name: position for name, position in _read_id(seen) if name in topics.queues}
        telling = Telling(topics, call, positions)
        async with self._listening(listener, topics):
            yield f"retry: {AGAIN_MS}\n\n".encode()
            for queue, position in list(positions.items()):
                found, last = await missed(self._app, queue, position, MOST_MISSED)
                for text in telling.events(queue, found):
                    yield text
                telling.caught_up(queue, last)
            checked_s = monotonic()
            while True:
                if monotonic() - checked_s >= KNOWN_FOR_S:
                    if not await _is_still(call):
                        return
                    checked_s = monotonic()
                try:
                    message = await listener.next(self._options.heartbeat_s)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if message is None:
                    return
                word, subject = message
                if word == ASK:
                    checked_s = -KNOWN_FOR_S
                    continue
                for text in telling.messages(word, subject):
                    yield text

    @asynccontextmanager
    async def _listening(self, listener: Listener, topics: Topics) -> AsyncIterator[None]:
        self._listeners.add(listener)
        for name in topics.queues:
            source, many = self._queues.get(name) or (queue_source(self._app, name), 0)
            self._queues[name] = (source, many + 1)
            source.add(listener)
        if topics.overview or topics.workers:
            if self._figures.newest is not None:
                listener.tell("figures", self._figures.newest)
            self._figures.add(listener)
        if topics.store:
            if self._store.newest is not None:
                listener.tell("store", self._store.newest)
            self._store.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)
            await asyncio.shield(self._leave(listener, topics))

    async def _leave(self, listener: Listener, topics: Topics) -> None:
        for name in topics.queues:
            source, many = self._queues[name]
            if many == 1:
                del self._queues[name]
            else:
                self._queues[name] = (source, many - 1)
            await source.remove(listener)
        if topics.overview or topics.workers:
            await self._figures.remove(listener)
        if topics.store:
            await self._store.remove(listener)


class Telling:
    """What one caller was told, and may be told."""

    def __init__(self, topics: Topics, call: Call, positions: dict[str, int]) -> None:
        self._topics = topics
        self._call = call
        self._positions = positions
        self._caught_up: dict[str, int] = {}
        self._queues: dict[str, bytes] = {}
        self._workers: bytes | None = None

    def caught_up(self, queue: str, position: int) -> None:
        """Remember up to where a queue was read from the store. Its source tells some again."""
        self._caught_up[queue] = position

    def messages(self, word: str, subject: Any) -> list[bytes]:
        """Return the text of what a source has told."""
        if word == "events":
            queue, page = subject
            last = self._caught_up.pop(queue, None)
            if last is not None and page[0].position <= last:
                fresh = [event for event in page if event.position > last]
                if not fresh:
                    self._caught_up[queue] = last
                page = fresh
            return self.events(queue, page)
        if word == "away":
            return [_message("away", {"message": subject})]
        if word in ("store", "switched"):
            return [_message(word, subject)]
        queues, workers = subject
        told = []
        if self._topics.overview:
            told += self._overview(queues)
        if self._topics.workers:
            told += self._all_workers(workers)
        return told

    def events(self, queue: str, page: Sequence[EventRecord]) -> list[bytes]:
        """Return the text of events."""
        told: list[bytes] = []
        for event in page:
            self._positions[queue] = event.position
            seen = urlencode(self._positions)
            told += [_message("event", one, seen) for one in event_list(self._call, queue, [event])]
        return told

    def _overview(self, queues: Sequence[QueueInfo]) -> list[bytes]:
        """Return the queues whose figures have changed, and the names of those that are gone."""
        now = {info.name: encode(info) for info in queues if self._call.sees(info.name)}
        changed = [
            info for info in queues
            if info.name in now and _still(now[info.name]) != _still(self._queues.get(info.name))
        ]  # fmt: skip
        gone = [name for name in self._queues if name not in now]
        first, self._queues = not self._queues, now
        if not (changed or gone or first):
            return []
        return [_message("overview", {"queues": changed, "gone": gone, "at": time.time()})]

    def _all_workers(self, workers: Sequence[WorkerInfo]) -> list[bytes]:
        shown = worker_list(self._call, workers)
        now = _still(encode(shown))
        if now == self._workers:
            return []
        self._workers = now
        return [_message("workers", {"workers": shown})]


async def _is_still(call: Call) -> bool:
    """Whether the caller is who it was. If the store is away, nobody can say, so it stays."""
    try:
        return await call.access.identify(call.connection) == call.principal
    except (Unauthenticated, Throttled):
        return False
    except BackendError:
        return True


def _still(encoded: bytes | None) -> bytes | None:
    return None if encoded is None else without_ages(encoded)


def _message(word: str, subject: object, message_id: str | None = None) -> bytes:
    head = f"event: {word}\n" if message_id is None else f"event: {word}\nid: {message_id}\n"
    return head.encode() + b"data: " + encode(subject) + b"\n\n"


def _read_id(text: str | None) -> list[tuple[str, int]]:
    """Return the positions in an id of ours; none if it is another's."""
    try:
        pairs = parse_qsl(text or "", strict_parsing=bool(text), max_num_fields=MOST_TOPICS)
        return [(name, int(position)) for name, position in pairs if position.isdecimal()]
    except ValueError:
        return []
