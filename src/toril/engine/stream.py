"""Following a queue's events: from now, or from any position."""

from __future__ import annotations

from collections.abc import AsyncIterator

from toril.engine.contract.events import Events
from toril.engine.events import EventRecord

PAGE = 500
"""Events read at a time."""
LOOK_S = 10.0
"""Longest wait of one read: what is new wakes it, this is for when that is missed."""


async def follow(
    events: Events, queue: str, *, after: int | None = None, until_idle: bool = False
) -> AsyncIterator[EventRecord]:
    """Yield events as they happen.

    Parameters:
        events: The store's event log.
        queue: Whose events.
        after: Begin after this position; 0 is the oldest kept. None: with what happens from now on.
        until_idle: End where the log ends, in place of waiting for more.
    """
    position = await events.latest(queue) if after is None else after
    while True:
        wait_s = 0.0 if until_idle else LOOK_S
        page = await events.read(queue, after=position, limit=PAGE, wait_s=wait_s)
        if not page:
            if until_idle:
                return
            if await events.latest(queue) < position:
                position = 0  # the queue was removed with all it had, and began anew
        for event in page:
            position = event.position
            yield event
