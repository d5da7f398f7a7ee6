"""What jobs that wait take in a Redis server."""

from __future__ import annotations

import msgspec

from benchmarks.order import Order, Values
from benchmarks.server_memory import used_memory_bytes
from benchmarks.toril_figures.adding import fill


async def backlog(order: Order, where: str) -> Values:
    """Bytes per waiting job, those of the warm-up not counted.

    They fill the stream of events, which is of limited length, and so no cost of a job. What the
    server holds for connections is none either: those that have added are closed.
    """
    await fill(msgspec.structs.replace(order, jobs=order.warm_up), where)
    before = used_memory_bytes(where)
    await fill(order, where)
    return {"bytes_per_job": (used_memory_bytes(where) - before) / order.jobs}
