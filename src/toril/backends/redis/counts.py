"""Which queues there are, and how many jobs are where: one call a queue.

Queues are listed by the register (a set of names), which costs as much as there are queues. Those
that only BullMQ has used are not on it until somebody searches the keys of the whole server.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.scripts import script
from toril.core.errors import StoreDeniedError
from toril.engine.contract.counts import JobPlace, QueueRecord
from toril.engine.states import State

TOGETHER = 100
"""Queues whose figures are asked for at the same time."""
SCAN_COUNT = 1000
"""Keys in one step of a search: well below 1 ms of the server's time."""


class RedisCounts:
    """The role `Counts`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments, known: QueueRegister) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known

    async def queues(self, *, search: bool = False) -> list[QueueRecord]:
        names = await self.search() if search else await self.listed()
        found: list[QueueRecord | None] = []
        for start in range(0, len(names), TOGETHER):
            found += await asyncio.gather(*map(self.queue, names[start : start + TOGETHER]))
        records = [record for record in found if record is not None]
        if search:
            await self._known.enlist([record.name for record in records])
        return records

    async def listed(self) -> list[str]:
        """Return the names on the register, some of which may be gone."""
        return sorted(await self._known.names(0.0))

    async def search(self) -> list[str]:
        """Return these, and those of queues that are found among the keys; changes nothing."""
        names = set(await self.listed())
        with contextlib.suppress(StoreDeniedError):  # then those of BullMQ alone are not found
            for node in await self._client.nodes():
                cursor = "0"
                while True:
                    cursor, keys = await node.call(
                        "SCAN", cursor, "MATCH", self._keys.queues_pattern(), "COUNT", SCAN_COUNT
                    )
                    names.update(filter(None, map(self._keys.queue_of, keys)))
                    if cursor == "0":
                        break
        return sorted(names)

    async def running(self, queues: Sequence[str]) -> dict[str, int]:
        found: Counter[str] = Counter()
        for start in range(0, len(queues), TOGETHER):
            for workers in await asyncio.gather(
                *map(self._runners, queues[start : start + TOGETHER])
            ):
                found.update(filter(None, workers))
        return dict(found)

    async def _runners(self, queue: str) -> list[str]:
        workers: list[str] = await self._client.run(script("running"), [self._keys.meta(queue)])
        return workers

    async def by_priority(self, name: str, priorities: Sequence[int]) -> list[int]:
        found: list[int] = await self._client.run(
            script("count_priorities"), [self._keys.meta(name)], *priorities
        )
        return found

    async def raise_totals(self, name: str, *, completed: int, failed: int) -> None:
        await self._client.run(
            script("raise_totals"),
            [self._keys.meta(name)],
            self._moments.frozen(),
            completed,
            failed,
        )

    async def queue(self, name: str) -> QueueRecord | None:
        row = await self._client.run(
            script("queue_info"), [self._keys.meta(name)], self._moments.frozen()
        )
        if row is None:
            return None
        return QueueRecord(
            name=name,
            paused=row[10] == 1,
            counts=dict(zip(State, row[:7], strict=True)),
            completed_total=row[7],
            failed_total=row[8],
            oldest_waiting_ms=row[9],
            concurrency=row[11],
            rate_limit=row[12],
            rate_window_ms=row[13],
            events=row[14],
            moving=row[15] == 1,
            window_starts=row[16],
            window_left_ms=row[17],
            hold_left_ms=row[18],
            history=row[19] == 1,
        )

    async def place(self, queue: str, job_id: str, *, limit: int) -> JobPlace | None:
        row = await self._client.run(
            script("place"),
            [self._keys.meta(queue)],
            self._moments.frozen(),
            job_id,
            limit,
        )
        if row is None:
            return None
        state, ahead, more, paused_at_ms = row
        return JobPlace(
            state=State(state),
            ahead=ahead,
            more=more == 1,
            paused_at_ms=paused_at_ms,
        )
