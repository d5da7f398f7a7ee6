"""Processing a backlog of no-op jobs with a consumer's threads."""

from __future__ import annotations

import time

from benchmarks.huey_figures.stage import Stage, consuming
from benchmarks.order import Order, Values


def backlog(order: Order, where: str) -> Values:
    """Jobs per second, from the start of the consumer to the end of the last task.

    Not to the end of all work: what a consumer does after a task is not counted against it. It
    cannot be paused, so a first consumer warms the process up and a second one, which only has to
    start its threads, is measured.
    """
    stage = Stage(order, where)
    for jobs in (order.warm_up, order.jobs):
        for i in range(jobs):
            stage.noop(i)
        stage.expect(jobs)
        begin_s = time.perf_counter()
        with consuming(stage, order.concurrency):
            stage.wait()
            elapsed_s = time.perf_counter() - begin_s
    return {"per_s": order.jobs / elapsed_s}
