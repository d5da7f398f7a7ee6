"""Takes back jobs of dead workers; trims jobs and rolls up history, also of idle queues."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.contract.dispatch import Dispatch
from toril.engine.contract.history import History

log = logger("toril.worker")

CHUNK = 500
"""Jobs in one call."""
COUNTS_CHUNK = 1000
"""Counts of the history in one call: a few milliseconds of the store's time."""
HEARTBEAT_S = 9.0
"""A worker that was silent for longer is dead: three beats missed. Its jobs run again within 10 s,
since the next look is at the moment at which one may turn out to be dead."""
SPREAD_S = 0.2
"""Those who wait for the same moment do not look all at once."""
SHORTEST_S = 0.5
"""Between two looks."""
TRIM_S = 60.0
"""Between two looks for finished jobs that are kept no longer: busy queues see to it themselves."""


class Sweeper:
    """The sweep loop of one worker. Every worker has one; they do not disturb each other."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        every_s: float,
        max_stalled: int,
        stalled: Callable[[str, str], None],
        history: History | None = None,
    ) -> None:
        """Make it.

        Parameters:
            dispatch: The store's.
            every_s: Longest time between two looks.
            max_stalled: As for `take_back`.
            stalled: As for `take_back`.
            history: The store's. None: somebody else rolls it up.
        """
        self._history = history
        self._dispatch = dispatch
        self._every_s = every_s
        self._max_stalled = max_stalled
        self._stalled = stalled
        self._trim_at_s = 0.0

    async def run(self) -> None:
        """Sweep at once and then again and again, until cancelled."""
        while True:
            look_again_s = self._every_s
            try:
                look_again_s = await self.sweep()
            except BackendError as error:
                log.warning("sweeping failed, trying again: %s", error)
            except Exception:  # a fault of ours: nobody else takes back what dead workers held
                log.exception("sweeping failed, trying again")
            # Spread, so that workers that started together do not sweep together.
            draw = random.random()  # noqa: S311 - spread only
            pause_s = self._every_s * (0.75 + draw / 2)
            await asyncio.sleep(min(pause_s, look_again_s + draw * SPREAD_S))

    async def sweep(self) -> float:
        """Sweep once; return in how many seconds a worker may turn out to be dead."""
        look_again_s = HEARTBEAT_S

        def look_again(in_ms: int) -> None:
            nonlocal look_again_s
            look_again_s = max(SHORTEST_S, in_ms / 1000)

        await take_back(
            self._dispatch,
            max_stalled=self._max_stalled,
            stalled=self._stalled,
            fresh_ms=round(self._every_s * 1000),
            look_again=look_again,
        )
        if time.monotonic() >= self._trim_at_s:
            while await self._dispatch.trim(limit=CHUNK) == CHUNK:
                pass
            while self._history and await self._history.roll_up(limit=COUNTS_CHUNK):
                pass
            self._trim_at_s = time.monotonic() + TRIM_S
        return look_again_s


async def take_back(
    dispatch: Dispatch,
    *,
    max_stalled: int,
    stalled: Callable[[str, str], None] = lambda queue, job_id: None,
    fresh_ms: int = 0,
    look_again: Callable[[int], None] = lambda in_ms: None,
) -> int:
    """Take back the jobs of all workers that are dead; return how many.

    Parameters:
        dispatch: The store's.
        max_stalled: How often a job survives this.
        stalled: Told the queue and the id of each.
        fresh_ms: What others have looked over within so long may be passed over.
        look_again: Told in how many ms a worker may turn out to be dead that is not yet.
    """
    total = 0
    while True:
        recovery = await dispatch.recover(
            max_stalled=max_stalled, heartbeat_s=HEARTBEAT_S, limit=CHUNK, fresh_ms=fresh_ms
        )
        for queue, job_id in recovery.recovered:
            fate = "will fail" if (queue, job_id) in recovery.quarantined else "runs again"
            log.warning("job %s of %s lost its worker and %s", job_id, queue, fate)
            stalled(queue, job_id)
        total += len(recovery.recovered)
        if recovery.look_again_ms is not None:
            look_again(recovery.look_again_ms)
        if len(recovery.recovered) < CHUNK:
            return total
