"""Following a queue's events: from now, or from any position."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

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
    async with aclosing(pages(events, queue, after=after, until_idle=until_idle)) as found:
        async for page in found:
            for event in page:
                yield event


async def pages(
    events: Events, queue: str, *, after: int | None = None, until_idle: bool = False
) -> AsyncGenerator[list[EventRecord], None]:
    """Yield the same some at a time, as they are read; at least one each time."""
    position = await events.latest(queue) if after is None else after
    while True:
        wait_s = 0.0 if until_idle else LOOK_S
        page = await events.read(queue, after=position, limit=PAGE, wait_s=wait_s)
        if page:
            position = page[-1].position
            yield page
        elif until_idle:
            return
        elif await events.latest(queue) < position:
            position = 0  # the queue was removed with all it had, and began anew
