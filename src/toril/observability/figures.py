"""Reads what there is to say of a store at one moment: of queues, workers, letters, schedules.

`prometheus.py` formats it. It only reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from toril.engine.contract import Backend, Level
from toril.engine.history import by_task
from toril.engine.info import QueueInfo, WorkerInfo
from toril.engine.tally import Tally
from toril.fallback.info import StoreState

TOGETHER = 50
"""Queues that are asked for at the same time."""
FIRST_SCHEDULES = 50
"""Schedules of a queue that are looked at: those whose slots came first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What there is to say of a store at one moment."""

    queues: Sequence[QueueInfo]
    workers: Sequence[WorkerInfo]
    """Those that are alive."""
    tallies: dict[str, dict[str, Tally]] = field(default_factory=dict)
    """Queue to task to what it did since its history began."""
    letters: dict[str, int] = field(default_factory=dict)
    """Dead-letter queue to how many letters lie there."""
    lags_s: dict[str, float] = field(default_factory=dict)
    """Queue with schedules to how late the one is that is late the most; 0: none is."""
    store: StoreState | None = None
    """Which store is live, of an app with a fallback store."""


async def read_figures(
    backend: Backend,
    queues: Sequence[QueueInfo],
    workers: Sequence[WorkerInfo],
    *,
    dead_letters: Collection[str] = (),
) -> Figures:
    """Return the figures of queues.

    Cost: about four calls of the store for each queue, `TOGETHER` of them at a time.

    Parameters:
        backend: The store.
        queues: Which, as they were just read.
        workers: Likewise.
        dead_letters: Queues that hold letters, beside those that the queues' rules name.
    """
    names = [info.name for info in queues]
    tallies: dict[str, dict[str, Tally]] = {}
    lags_s: dict[str, float] = {}
    letter_queues = set(dead_letters)
    for first in range(0, len(names), TOGETHER):
        some = names[first : first + TOGETHER]
        found = await asyncio.gather(*(_of_queue(backend, name) for name in some))
        for name, (tally, target, lag_s) in zip(some, found, strict=True):
            tallies[name] = tally
            if lag_s is not None:
                lags_s[name] = lag_s
            if target is not None:
                letter_queues.add(target)
    return Figures(
        queues=queues,
        workers=workers,
        tallies=tallies,
        letters={
            info.name: info.waiting + info.prioritized
            for info in queues
            if info.name in letter_queues
        },
        lags_s=lags_s,
    )


async def _of_queue(
    backend: Backend, name: str
) -> tuple[dict[str, Tally], str | None, float | None]:
    rows = await backend.history.read(name, Level.EVER, since_ms=0, until_ms=0)
    rule = await backend.dead_letters.rule(name)
    lag_s = await _lag_s(backend, name)
    return by_task(rows), None if rule is None else rule.queue, lag_s


async def _lag_s(backend: Backend, queue: str) -> float | None:
    """Return how late a queue's schedules are: slots that have come and whose job has not begun.

    None: it has no schedules.
    """
    ids = await backend.schedules.ids(queue)
    if not ids:
        return None
    reading = await backend.schedules.read(queue, ids[:FIRST_SCHEDULES])
    late_ms = 0
    for one in reading.schedules:
        if one is not None and not one.paused and one.job_state != "active" and one.is_pending:
            late_ms = max(late_ms, reading.now_ms - one.next_ms)
    return late_ms / 1000
