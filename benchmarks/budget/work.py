"""What both stores are asked for, through the backend's contract: nothing of tasks and workers."""

from __future__ import annotations

import asyncio
import time
from typing import Self

from benchmarks.order import Durability
from benchmarks.toril_figures.claiming import BATCH, WORKER, finished
from toril.backends import open_backend
from toril.engine.contract import Claim, Exchange
from toril.engine.job import Claimed, NewJob

_QUEUE = "budget"


class Work:
    """A store and what is done with it."""

    def __init__(
        self, url: str, runner: asyncio.Runner, *, durability: Durability = "full"
    ) -> None:
        self._runner = runner
        self._backend = open_backend(url, durability=durability)
        self._held: list[Claimed] = []

    def __enter__(self) -> Self:
        """Warm it up."""
        self._runner.run(self.add(10))
        self._runner.run(self.exchange(5))
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self._runner.run(self._backend.lifecycle.close())

    async def add(self, calls: int) -> float:
        """Add jobs, `BATCH` in a call; return seconds of CPU of this process for each."""
        jobs = [NewJob(queue=_QUEUE, name="n", data='{"i":1}', opts="{}") for _ in range(BATCH)]
        begin_s = time.process_time()
        for _ in range(calls):
            await self._backend.jobs.add(jobs)
        return (time.process_time() - begin_s) / calls / BATCH

    async def add_alone(self, many: int) -> float:
        """Add jobs, each awaited; return seconds for each."""
        job = NewJob(queue=_QUEUE, name="n", data='{"i":1}', opts="{}")
        begin_s = time.perf_counter()
        for _ in range(many):
            await self._backend.jobs.add([job])
        return (time.perf_counter() - begin_s) / many

    async def exchange(self, calls: int) -> float:
        """Finish what is held and claim as many; return seconds of CPU of this process for each."""
        claims = [Claim(_QUEUE, BATCH, 30_000)]
        begin_s = time.process_time()
        for _ in range(calls):
            outcomes = [finished(job) for job in self._held]
            reply = await self._backend.dispatch.exchange(Exchange(WORKER, outcomes, claims, BATCH))
            self._held = reply.claimed
        return (time.process_time() - begin_s) / calls / BATCH
