"""The figures over all queues: the same for the overview of the server and for `toril top`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from toril.engine.info import QueueInfo
from toril.rest.answers import Totals


class Slots(Protocol):
    """Of a worker: how many jobs at once, and how many now. None: it does not say."""

    @property
    def concurrency(self) -> int | None:
        """Jobs at once."""

    @property
    def running(self) -> int | None:
        """Jobs at this moment."""


def totals(queues: Iterable[QueueInfo], workers: Iterable[Slots]) -> Totals:
    """Return the figures over all queues."""
    infos, alive = list(queues), list(workers)
    ages = [info.oldest_waiting_s for info in infos if info.oldest_waiting_s is not None]
    return Totals(
        queues=len(infos),
        paused=sum(info.paused for info in infos),
        waiting=sum(info.waiting for info in infos),
        prioritized=sum(info.prioritized for info in infos),
        delayed=sum(info.delayed for info in infos),
        waiting_children=sum(info.waiting_children for info in infos),
        active=sum(info.active for info in infos),
        completed=sum(info.completed for info in infos),
        failed=sum(info.failed for info in infos),
        completed_total=sum(info.completed_total for info in infos),
        failed_total=sum(info.failed_total for info in infos),
        oldest_waiting_s=max(ages, default=None),
        workers=len(alive),
        slots=sum(one.concurrency or 0 for one in alive),
        running=sum(one.running or 0 for one in alive),
    )
