"""The event log of a queue, which any process can follow from any position."""

from __future__ import annotations

from typing import Protocol

from toril.engine.events import EventRecord, EventsTold


class Events(Protocol):
    """Events in order, each with a position. Old ones are dropped past the queue's cap.

    A position is above 0 and above that of the event before it in its queue. Nothing else is
    promised of it: a store may begin anywhere and leave any gap. A reader goes on after a position
    that it has read, and one that asks after the position below that gets the same event again,
    for as long as it is kept: so it can tell whether any was dropped in between.
    """

    async def latest(self, queue: str) -> int:
        """Return the position of the newest event; 0 if there is none."""
        ...

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        """Return the newest `limit` events, from 1, the oldest of them first."""
        ...

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        """Return up to `limit` events after a position, oldest first.

        Waits up to `wait_s` for the first one. A reader that was away for too long gets the
        oldest that are kept, and so does one whose position the queue has not reached: it is from
        before the queue was obliterated.
        """
        ...

    async def choose(self, queue: str, told: EventsTold) -> None:
        """Say what the queue tells from now on, whoever does it. A new queue tells all.

        What was told before stays. Nothing is told of the change itself.
        """
        ...
