"""The loop of a worker that looks after schedules: what code declares, and what stands still."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence

from toril.core.errors import BackendError, StoreUnreachableError, TorilError
from toril.core.loggers import logger
from toril.engine.contract.schedules import Schedules
from toril.engine.schedules.declaring import Declaration, reconcile
from toril.engine.schedules.keeper import ScheduleKeeper
from toril.engine.schedules.record import ScheduleRecord

log = logger("toril.schedules")

EVERY_S = 30.0
"""Between two looks for schedules that stand still."""
RECONCILE_S = 120.0
"""Between two comparisons of what is stored with what the code declares."""


class ScheduleLoop:
    """Looks after the schedules of the queues of one worker. Every worker has one."""

    def __init__(
        self,
        schedules: Schedules,
        keeper: ScheduleKeeper,
        *,
        queues: Sequence[str],
        declarations: Sequence[Declaration],
        by: frozenset[str],
        problem: Callable[[ScheduleRecord], str | None],
    ) -> None:
        """Make the loop.

        Parameters:
            schedules: The store's.
            keeper: The worker's.
            queues: Those that the worker serves.
            declarations: What the code declares.
            by: Whose code it is.
            problem: Says in a sentence why a schedule's jobs could not be run here.
        """
        self._schedules = schedules
        self._keeper = keeper
        self._queues = queues
        self._declarations = declarations
        self._by = by
        self._problem = problem
        self._reconcile_at_s = 0.0
        self._said: set[tuple[str, str, str]] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled. The first look is the worker's to begin with."""
        while True:
            await asyncio.sleep(_spread(EVERY_S))
            await self.look()

    async def look(self) -> None:
        """Look once. What fails is logged, and tried again with the next look."""
        try:
            if time.monotonic() >= self._reconcile_at_s:
                await self._reconcile()
                self._reconcile_at_s = time.monotonic() + _spread(RECONCILE_S)
            while await self._keeper.tend(self._queues):
                pass
        except BackendError as error:
            log.warning("schedules cannot be looked after, trying again: %s", error)
        except Exception:  # a fault of ours must not end the worker
            log.exception("schedules cannot be looked after, trying again")

    async def _reconcile(self) -> None:
        for queue in self._queues:
            try:
                await reconcile(
                    self._schedules, self._declarations, [queue], self._by, self._tell_problem
                )
            except StoreUnreachableError:
                raise
            except TorilError as error:  # this queue's alone, such as a schedule that never comes
                log.error("schedules of %s are not as the code declares them: %s", queue, error)

    def _tell_problem(self, schedule: ScheduleRecord) -> None:
        """Log that a schedule makes jobs that this worker could not run. Once."""
        text = self._problem(schedule)
        if text is not None and (one := (schedule.queue, schedule.id, text)) not in self._said:
            self._said.add(one)
            log.warning("schedule %r of %s: %s", schedule.id, schedule.queue, text)


def _spread(span_s: float) -> float:
    """Return about a span: workers that started together do not look together."""
    return span_s * (0.75 + random.random() / 2)  # noqa: S311 - spread only
