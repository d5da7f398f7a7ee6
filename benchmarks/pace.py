"""An open-loop schedule: moments fixed in advance, whatever becomes of what was sent before.

A sender that waits for an answer before it goes on sends less while the queue is slow, and so never
sees how slow it was. Here the moment on the schedule is where each latency begins, so a sender that
falls behind makes the figure worse, not better.

Source:
    G. Tene, "How NOT to Measure Latency", on coordinated omission.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

LEAD_NS = 20_000_000
"""Before the first moment, in nanoseconds."""


def due_moments_ns(per_s: int, count: int) -> Iterator[int]:
    """Sleep until each moment of the schedule, and yield it. `CLOCK_MONOTONIC`, nanoseconds.

    All processes of a machine share that clock, so another one may subtract from it.
    """
    step_ns = 1_000_000_000 // per_s
    first_ns = time.monotonic_ns() + LEAD_NS
    for index in range(count):
        due_ns = first_ns + index * step_ns
        left_ns = due_ns - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / 1e9)
        yield due_ns
