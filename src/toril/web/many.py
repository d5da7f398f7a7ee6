"""Runs a verb over many jobs for a while: what is left over is left to the next request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic

from toril.engine.operator import Progress
from toril.rest.answers import Done
from toril.web.call import Call


class TimeIsOverError(Exception):
    """Ends a verb between two of its chunks, so that the number of changed jobs is exact."""


async def for_a_while(call: Call, verb: Callable[[Progress], Awaitable[int]]) -> Done:
    """Run a verb until it is done or the time of a request is over; return how many it changed.

    A verb works in chunks, each a transition of its own, so it may be given up between two of them
    and asked again.
    """
    done = 0
    until_s = monotonic() + call.options.bulk_s

    def progress(count: int) -> None:
        nonlocal done
        before, done = done, count
        # After a chunk that changed nothing the verb ends by itself.
        if count > before and monotonic() > until_s:
            raise TimeIsOverError

    try:
        return Done(count=await verb(progress))
    except TimeIsOverError:
        return Done(count=done, more=True)
