"""How much there is to do, and how many workers would be right: for autoscalers. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from toril.core.checks import require
from toril.engine.info import QueueInfo, WorkerInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How much there is to do in some queues, and who does it."""

    jobs: int
    """Jobs that workers could run now: ready ones and running ones. Where a queue is paused or
    held, only those that run; where it has a concurrency, at most that many."""
    waiting: int
    """Ready jobs, whatever holds them back."""
    active: int
    oldest_waiting_s: float
    """Age of the oldest job that is next in its line. 0: none waits."""
    workers: int
    """Live workers that serve one of the queues and are not about to stop."""
    slots: int
    """Jobs that these run at once."""
    busy_slots: int
    suggested_workers: int
    """Workers that would have a slot for each of `jobs`."""

    def plain(self) -> dict[str, Any]:
        """Return it as one JSON object of numbers, as KEDA's `metrics-api` scaler reads it."""
        return asdict(self)


def scaling(
    queues: Sequence[QueueInfo],
    workers: Sequence[WorkerInfo],
    *,
    names: Collection[str],
    concurrency: int,
) -> Scaling:
    """Return what an autoscaler needs to know of queues.

    Parameters:
        queues: Those of them that are there.
        workers: All that are alive.
        names: Which, there or not.
        concurrency: Jobs that a worker runs at once, if none is alive to tell.

    Raises:
        InvalidOptionError: The concurrency is below 1.
    """
    require(concurrency >= 1, "concurrency", concurrency, "an integer from 1")
    wanted = set(names)
    serving = [one for one in workers if not one.quiet and not wanted.isdisjoint(one.queues)]
    slots = sum(one.concurrency for one in serving)
    jobs = sum(map(_runnable, queues))
    each = slots / len(serving) if serving else concurrency
    return Scaling(
        jobs=jobs,
        waiting=sum(info.waiting + info.prioritized for info in queues),
        active=sum(info.active for info in queues),
        oldest_waiting_s=max((info.oldest_waiting_s or 0.0 for info in queues), default=0.0),
        workers=len(serving),
        slots=slots,
        busy_slots=sum(one.running for one in serving),
        suggested_workers=math.ceil(jobs / each),
    )


def _runnable(info: QueueInfo) -> int:
    ready = 0 if info.paused or info.held_s > 0 else info.waiting + info.prioritized
    jobs = ready + info.active
    return jobs if info.concurrency is None else min(jobs, max(info.concurrency, info.active))
