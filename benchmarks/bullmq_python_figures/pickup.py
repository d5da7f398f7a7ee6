"""From the moment a job is due to be added to the first line of its processor."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from benchmarks.bullmq_python_figures.stage import Workers, opened
from benchmarks.isolated import measure
from benchmarks.latencies import Sample
from benchmarks.order import Order, Values
from benchmarks.pace import send_on_schedule

samples: list[Sample] = []
"""What this process saw."""


async def one_process(order: Order, where: str) -> list[Sample]:
    """Producer and worker on one event loop."""
    async with Workers(where, order.concurrency, _pick_up) as workers:
        workers.start()
        await produce(order, where)
        await workers.completed(order.warm_up + order.jobs)
    return samples


async def two_processes(order: Order, where: str) -> list[Sample]:
    """The worker here, the producer in another process."""
    async with Workers(where, order.concurrency, _pick_up) as workers:
        workers.start()
        producing = msgspec.structs.replace(order, work="pickup.produce")
        await asyncio.to_thread(measure, producing, where)
        await workers.completed(order.warm_up + order.jobs)
    return samples


async def produce(order: Order, where: str) -> Values:
    """The producer."""
    async with opened(where) as queue:
        await send_on_schedule(lambda due_ns: queue.add("pick-up", {"due_ns": due_ns}), order)
    return {"jobs": order.warm_up + order.jobs}


async def _pick_up(job: Any, token: str) -> None:
    due_ns = job.data["due_ns"]
    samples.append((due_ns, time.monotonic_ns() - due_ns))
