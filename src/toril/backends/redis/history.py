"""The role `History`: blocks of periods (`lua/lib/add_history.lua`), and minutes that are open.

A queue that only BullMQ's own workers serve has none. Then BullMQ's metrics are read, if its
workers write them: how many jobs completed and failed in each minute. They hold no names, no
durations and no retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toril.backends.redis.client import Client
from toril.backends.redis.keys import Keys
from toril.backends.redis.moments import Moments
from toril.backends.redis.problems import Problems
from toril.backends.redis.queue_register import QueueRegister
from toril.backends.redis.queue_scripts import QueueScripts
from toril.backends.redis.scripts import script
from toril.core.reading import whole
from toril.engine.contract.history import MINUTE_MS, HistoryRow, Level
from toril.engine.tally import OTHERS, Tally, packed, unpacked

LETTERS = ("m", "h", "d", "ever")
READ_CHUNK = 2000
"""Tallies in one call: about 3 ms of the server's time."""
ADOPT_CHUNK = 300
NAMES_HOLD_S = 60.0


class RedisHistory:
    """The role `History`."""

    def __init__(
        self,
        client: Client,
        keys: Keys,
        moments: Moments,
        known: QueueRegister,
        scripts: QueueScripts,
        problems: Problems,
    ) -> None:
        self._client = client
        self._keys = keys
        self._moments = moments
        self._known = known
        self._scripts = scripts
        self._problems = problems

    async def keep(self, queue: str, kept: bool) -> None:
        settings = '{"toril:history":false}' if kept else '{"toril:history":"off"}'
        await self._scripts.run("limit", queue, settings)
        await self._known.enlist([queue])

    async def read(
        self, queue: str, level: Level, *, since_ms: int, until_ms: int
    ) -> list[HistoryRow]:
        first, last, rows = 0, 0, []
        if level is not Level.EVER:
            first = since_ms // level.period_ms
            last = -(-until_ms // level.period_ms) - 1
        answer: list[Any] | None = None
        place = last
        while place >= first:
            opened, found, place, is_there = await self._scripts.run(
                "read_history", queue, LETTERS[level], first, place, READ_CHUNK
            )
            if answer is None:
                # With the newest page, from one moment: what is rolled up meanwhile counts once.
                answer = opened
                if not is_there:
                    return await self._of_bullmq(queue, level, since_ms, until_ms)
            rows += [
                HistoryRow(number * level.period_ms, task, unpacked(text))
                for number, task, text in found
            ]
        rows += [
            row
            for row in _open(answer or ())
            if level is Level.EVER or since_ms <= row.start_ms < until_ms
        ]
        return sorted(rows, key=lambda row: (row.start_ms, row.task))

    async def roll_up(self, *, limit: int) -> bool:
        more = False
        for queue in sorted(await self._known.names(NAMES_HOLD_S)):
            answer = await self._client.run(
                script("roll_up"), [self._keys.meta(queue)], self._moments.frozen(), limit
            )
            more = more or answer[0] == 1
            if answer[1] is not None:
                self._problems.report(queue, answer[1])
        return more

    async def adopt(self, queue: str, level: Level, rows: Sequence[HistoryRow]) -> None:
        for first in range(0, len(rows), ADOPT_CHUNK):
            words: list[str | int] = []
            for row in rows[first : first + ADOPT_CHUNK]:
                number = 0 if level is Level.EVER else row.start_ms // level.period_ms
                words += (number, row.task, packed(row.tally))
            await self._scripts.run("adopt_history", queue, LETTERS[level], *words)
        await self._known.enlist([queue])

    async def _of_bullmq(
        self, queue: str, level: Level, since_ms: int, until_ms: int
    ) -> list[HistoryRow]:
        """Return what the metrics of BullMQ's workers say, by the minute."""
        tallies: dict[int, Tally] = {}
        for state in ("completed", "failed"):
            key = self._keys.of(queue, f"metrics:{state}")
            count, noted_ms, before = await self._client.call(
                "HMGET", key, "count", "prevTS", "prevCount"
            )
            if count is None or noted_ms is None:
                continue
            # The newest minute of the list is the one before the minute of `prevTS`, which is open.
            open_minute = whole(noted_ms) // MINUTE_MS
            points = await self._client.call("LRANGE", f"{key}:data", 0, -1)
            figures = [whole(count) - whole(before or 0), *map(whole, points)]
            if level is Level.EVER:
                figures = [whole(count)]
            for age, many in enumerate(figures):
                minute = open_minute - age
                inside = since_ms <= minute * MINUTE_MS < until_ms
                if many > 0 and (inside or level is Level.EVER):
                    tally = tallies.setdefault(0 if level is Level.EVER else minute, Tally())
                    setattr(tally, state, many)
        return [
            HistoryRow(minute * MINUTE_MS, OTHERS, tally)
            for minute, tally in sorted(tallies.items())
        ]


def _open(fields: Sequence[str]) -> list[HistoryRow]:
    """Return the counts of open minutes as rows of their minutes."""
    tallies: dict[tuple[int, str], Tally] = {}
    for field, text in zip(fields[::2], fields[1::2], strict=True):
        minute, what, task = (*field.split(":", 2), "", "")[:3]
        many = whole(text)
        if not minute.isdecimal():
            continue
        tally = tallies.setdefault((int(minute), task), Tally())
        match what:
            case "w":
                tally.wait_ms += many
            case "r":
                tally.run_ms += many
            case "a":
                tally.oldest_ms = max(tally.oldest_ms, many)
            case _ if what.isdecimal():
                tally.count(int(what), many, 0, 0)
    return [
        HistoryRow(minute * MINUTE_MS, task, tally) for (minute, task), tally in tallies.items()
    ]
