"""Processing a backlog of jobs that wait for something, or carry something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.huey_figures.stage import Stage, consuming
from benchmarks.order import Order, Values


def backlog(order: Order, where: str) -> Values:
    """Jobs per second of jobs that wait."""
    stage = Stage(order, where)

    def wait(i: int) -> None:
        time.sleep(order.case.wait_ms / 1000)
        stage.count()

    task: Callable[..., Any] = stage.huey.task(name="wait")(wait)
    for jobs in (order.warm_up, order.jobs):
        for i in range(jobs):
            task(i)
        elapsed_s = _work(stage, order, jobs)
    return {"per_s": order.jobs / elapsed_s}


def carried(order: Order, where: str) -> Values:
    """Adds per second of one producer, then jobs per second of a consumer."""
    stage = Stage(order, where)
    load = "x" * order.case.payload_bytes
    for jobs in (order.warm_up, order.jobs):
        begin_s = time.perf_counter()
        for _ in range(jobs):
            stage.noop(load)
        adding_s = time.perf_counter() - begin_s
        elapsed_s = _work(stage, order, jobs)
    return {"add_per_s": order.jobs / adding_s, "per_s": order.jobs / elapsed_s}


def _work(stage: Stage, order: Order, jobs: int) -> float:
    """Return how many seconds a consumer took for all that is there."""
    stage.expect(jobs)
    begin_s = time.perf_counter()
    with consuming(stage, order.concurrency):
        stage.wait()
        return time.perf_counter() - begin_s
