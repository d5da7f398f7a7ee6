"""The tasks: they do nothing, so that what is left is the queue's own cost.

At module level, so that child processes find them.
"""

from __future__ import annotations

import time

from benchmarks.latencies import Sample
from toril import TaskBundle

QUEUE = "bench"

bundle = TaskBundle()
samples: list[Sample] = []
"""What `pick_up` saw in this process."""


@bundle.task(name="noop-loop", queue=QUEUE)
async def noop_loop(i: int) -> None:
    pass


@bundle.task(name="noop-thread", queue=QUEUE, run_in="thread")
def noop_thread(i: int) -> None:
    pass


@bundle.task(name="noop-process", queue=QUEUE, run_in="process")
def noop_process(i: int) -> None:
    pass


@bundle.task(name="pick-up", queue=QUEUE)
async def pick_up(due_ns: int) -> None:
    samples.append((due_ns, time.monotonic_ns() - due_ns))
