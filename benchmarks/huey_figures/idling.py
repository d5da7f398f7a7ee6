"""What a consumer costs that has nothing to do."""

from __future__ import annotations

import time

from benchmarks.huey_figures.stage import Stage, consuming
from benchmarks.order import Order, Values

SETTLE_S = 2.0
"""As for Toril."""


def worker(order: Order, where: str) -> Values:
    """CPU seconds per minute of all threads of a consumer's process, after its last job."""
    stage = Stage(order, where)
    with consuming(stage, order.concurrency):
        stage.expect(order.warm_up)
        for i in range(order.warm_up):
            stage.noop(i)
        stage.wait()
        time.sleep(min(SETTLE_S, order.duration_s))
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        time.sleep(order.duration_s)
        cpu_s = time.process_time() - begin_cpu_s
        return {"cpu_s_per_min": 60 * cpu_s / (time.perf_counter() - begin_s)}
