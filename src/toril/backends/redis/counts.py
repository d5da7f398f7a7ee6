"""Counts jobs by state. One script call per queue."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.scripts import script
from toril.core.errors import StoreDeniedError
from toril.engine.contract.counts import QueueRecord
from toril.engine.states import State

SCAN_UP_TO = 100_000
"""Keys up to which all are looked through for queues that only Node has used."""


class RedisCounts:
    """The role `Counts`."""

    def __init__(self, client: Client, keys: Keys, moments: Moments) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments

    async def queues(self) -> list[QueueRecord]:
        records = [await self.queue(name) for name in await self.names()]
        return [record for record in records if record is not None]

    async def names(self) -> list[str]:
        """Return the names of all queues that are known, some of which may be gone."""
        names = set(await self._client.call("SMEMBERS", self._keys.queues))
        with contextlib.suppress(StoreDeniedError):  # then those of Node alone are not found
            await self._scan(names)
        return sorted(names)

    async def _scan(self, names: set[str]) -> None:
        """Add the queues whose `meta` is found among the keys."""
        for node in await self._client.nodes():
            if await node.call("DBSIZE") <= SCAN_UP_TO:
                cursor = "0"
                while True:
                    cursor, keys = await node.call(
                        "SCAN", cursor, "MATCH", self._keys.metas_pattern(), "COUNT", 1000
                    )
                    names.update(filter(None, map(self._keys.queue_of_meta, keys)))
                    if cursor == "0":
                        break

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
        )
