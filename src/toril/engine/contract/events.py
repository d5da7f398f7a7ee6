"""The event log of a queue, which any process can follow from any position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from toril.engine.events import EventRecord


class Events(Protocol):
    """Events in order, numbered per queue. Old ones are dropped past the queue's cap."""

    async def latest(self, queue: str) -> int:
        """Return the position of the newest event; 0 if there was none."""
        ...

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        """Return up to `limit` events after a position, oldest first.

        Waits up to `wait_s` for the first one. A reader that was away for too long gets the
        oldest that are kept, and so does one whose position the queue has not reached: it is from
        before the queue was obliterated.
        """
        ...

    async def publish(self, queue: str, events: Sequence[EventRecord]) -> None:
        """Append events that belong to no transition, such as an operator's."""
        ...

    async def trim(self, queue: str, *, keep: int) -> None:
        """Drop all but about the newest `keep` events."""
        ...
