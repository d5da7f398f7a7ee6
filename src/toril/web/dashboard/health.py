"""One word for how a queue does, from its figures and who serves it."""

from __future__ import annotations

from collections.abc import Collection

from toril.engine.info import QueueInfo
from toril.web.attention import FAILING_LEAST, FAILING_SHARE, OLD_S, UNSERVED_S

ORDER = ("no-worker", "failing", "slow", "held", "paused", "busy", "ok", "idle")
"""Words, the worst first."""


def health(info: QueueInfo, served: Collection[str] | None, letters: Collection[str] = ()) -> str:
    """Return a word of `ORDER`.

    Parameters:
        info: The queue.
        served: Queues that a worker serves. None: nobody can say.
        letters: Dead-letter queues: nobody is meant to work them.
    """
    waiting = info.waiting + info.prioritized
    oldest_s = info.oldest_waiting_s or 0.0
    ended = info.completed_total + info.failed_total
    if info.paused:
        return "paused"
    if info.name in letters and (served is None or info.name not in served):
        return "idle"
    if waiting and served is not None and info.name not in served and oldest_s >= UNSERVED_S:
        return "no-worker"
    if info.failed and ended >= FAILING_LEAST and info.failed_total > FAILING_SHARE * ended:
        return "failing"
    if waiting and info.held_s >= 1:
        return "held"
    if waiting and oldest_s >= OLD_S:
        return "slow"
    if info.active:
        return "busy"
    return "ok" if served is None or info.name in served else "idle"
