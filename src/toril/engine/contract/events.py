"""The event log of each queue. Any process can read it from any position."""

from __future__ import annotations

from typing import Protocol

from toril.engine.events import EventRecord, EventsTold


class Events(Protocol):
    """Reads and configures event logs. A log drops its oldest events past the queue's cap.

    Positions grow from event to event of a queue, and are above 0. Nothing else is promised: a
    store may start anywhere and leave gaps. To continue, read after the last position you have
    seen. To detect gaps, read after `position - 1`: if the first event is not the one you saw last,
    events were dropped in between.
    """

    async def latest(self, queue: str) -> int:
        """Return the position of the newest event. 0: there is none."""
        ...

    async def newest(self, queue: str, *, limit: int) -> list[EventRecord]:
        """Return the newest `limit` (1 or more) events, oldest first."""
        ...

    async def read(self, queue: str, *, after: int, limit: int, wait_s: float) -> list[EventRecord]:
        """Return up to `limit` events after a position, oldest first.

        If there is none, wait up to `wait_s` for the first one. If events after the position were
        dropped, the oldest that are kept come first. So they do if the position is beyond the
        newest event: it is from before the queue was obliterated.
        """
        ...

    async def choose(self, queue: str, told: EventsTold) -> None:
        """Set which events the queue emits from now on. A new queue emits all.

        Events in the log stay. The change itself emits none.
        """
        ...
