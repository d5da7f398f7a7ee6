"""What an exchange costs at a short and at a long backlog, through the backend's contract.

The one figure below the public face: a worker would hide the store's share behind its own work.
"""

from __future__ import annotations

import time

from benchmarks.order import Order, Values
from benchmarks.toril_figures.noops import QUEUE
from benchmarks.toril_figures.stage import add, opened
from toril import App
from toril.engine.contract import Claim, Exchange
from toril.engine.job import Claimed, Finished
from toril.engine.options import KEEP_COMPLETED

BATCH = 100
"""Jobs that one exchange claims, and finishes of the one before."""
WORKER = "bench-worker"
LEASE_MS = 3_600_000
"""Longer than any measurement: nothing is recovered meanwhile."""


async def rates(order: Order, where: str) -> Values:
    """Claims and adds per second at two backlogs, and how many times longer the second takes."""
    small, large = order.backlogs
    exchanges, warm_up = order.jobs // BATCH, order.warm_up // BATCH
    async with opened(order, where) as app:
        await add(app.find_task("noop-loop"), small)
        claims_small, adds_small = await _rates(app, exchanges, warm_up)
        await add(app.find_task("noop-loop"), large - small)
        claims_large, adds_large = await _rates(app, exchanges, warm_up)
    return {
        "claims_small_per_s": claims_small,
        "claims_large_per_s": claims_large,
        "claims_ratio": claims_small / claims_large,
        "adds_small_per_s": adds_small,
        "adds_large_per_s": adds_large,
        "adds_ratio": adds_small / adds_large,
    }


async def _rates(app: App, exchanges: int, warm_up: int) -> tuple[float, float]:
    """Return jobs per second of exchanges and of adds. What is claimed is added again at once."""
    task = app.find_task("noop-loop")
    payloads = [{"i": i} for i in range(BATCH)]
    held: list[Claimed] = []
    claiming_s = adding_s = 0.0
    for index in range(warm_up + exchanges):
        exchange = Exchange(
            WORKER,
            outcomes=[finished(claimed) for claimed in held],
            claims=[Claim(QUEUE, limit=BATCH, lease_ms=LEASE_MS)],
            room=BATCH,
        )
        begin_s = time.perf_counter()
        reply = await app.backend().dispatch.exchange(exchange)
        claimed_s = time.perf_counter()
        await task.enqueue_many(payloads)
        added_s = time.perf_counter()
        if len(reply.claimed) != BATCH or "lease_lost" in reply.words:
            raise RuntimeError(f"claimed {len(reply.claimed)} of {BATCH}: {set(reply.words)}")
        held = reply.claimed
        if index >= warm_up:
            claiming_s += claimed_s - begin_s
            adding_s += added_s - claimed_s
    last = Exchange(WORKER, outcomes=[finished(claimed) for claimed in held])
    await app.backend().dispatch.exchange(last)
    return exchanges * BATCH / claiming_s, exchanges * BATCH / adding_s


def finished(claimed: Claimed) -> Finished:
    """Return the outcome that a worker sends for a no-op task with the default keep policy."""
    return Finished(
        queue=claimed.queue,
        number=claimed.number,
        job_id=claimed.id,
        token=claimed.token,
        kind="completed",
        attempt=claimed.attempts_started,
        attempts_made=claimed.attempts_made + 1,
        keep_count=KEEP_COMPLETED.count,
        keep_age_ms=round((KEEP_COMPLETED.age_s or 0) * 1000),
        worker_id=WORKER,
        started_ms=claimed.started_ms,
    )
