"""Adding jobs, one by one. There is no bulk call, so a loop stands in for it."""

from __future__ import annotations

import time

from benchmarks.huey_figures.stage import Stage
from benchmarks.order import Order, Values


def alone(order: Order, where: str) -> Values:
    """One producer in a loop. No consumer runs."""
    stage = Stage(order, where)
    for i in range(order.warm_up):
        stage.noop(i)
    begin_s = time.perf_counter()
    for i in range(order.jobs):
        stage.noop(i)
    return {"per_s": order.jobs / (time.perf_counter() - begin_s)}
