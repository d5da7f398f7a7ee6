"""From the moment a job is due to be added to the first line of its task."""

from __future__ import annotations

import threading
import time

import msgspec

from benchmarks.huey_figures.stage import Stage, consuming
from benchmarks.isolated import measure
from benchmarks.latencies import Sample
from benchmarks.order import Order, Values
from benchmarks.pace import due_moments_ns

POLL_S = 0.02


def one_process(order: Order, where: str) -> list[Sample]:
    """The producer in a thread beside those of the consumer."""
    stage = Stage(order, where)
    with consuming(stage, order.concurrency):
        thread = threading.Thread(target=_send, args=(stage, order), name="schedule", daemon=True)
        thread.start()
        thread.join()
        _await_all(stage, order)
    return stage.samples


def two_processes(order: Order, where: str) -> list[Sample]:
    """The consumer here, the producer in another process."""
    stage = Stage(order, where)
    with consuming(stage, order.concurrency):
        measure(msgspec.structs.replace(order, work="pickup.produce"), where)
        _await_all(stage, order)
    return stage.samples


def produce(order: Order, where: str) -> Values:
    """The producer of `two_processes`."""
    _send(Stage(order, where), order)
    return {"jobs": order.warm_up + order.jobs}


def _send(stage: Stage, order: Order) -> None:
    for due_ns in due_moments_ns(order.per_s, order.warm_up + order.jobs):
        stage.pick_up(due_ns)


def _await_all(stage: Stage, order: Order) -> None:
    while len(stage.samples) < order.warm_up + order.jobs:
        time.sleep(POLL_S)
