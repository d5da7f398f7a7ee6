"""What jobs that wait take in a Redis server."""

from __future__ import annotations

import msgspec

from benchmarks.bullmq_python_figures.adding import fill
from benchmarks.order import Order, Values
from benchmarks.server_memory import used_memory_bytes


async def backlog(order: Order, where: str) -> Values:
    """Bytes per waiting job, those of the warm-up not counted, as for Toril."""
    await fill(msgspec.structs.replace(order, jobs=order.warm_up), where)
    before = used_memory_bytes(where)
    await fill(order, where)
    return {"bytes_per_job": (used_memory_bytes(where) - before) / order.jobs}
