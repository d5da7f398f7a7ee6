"""An open-loop schedule: moments fixed in advance, whatever becomes of what was sent before.

A sender that waits for an answer before it goes on sends less while the queue is slow, and so never
sees how slow it was. Here the moment on the schedule is where each latency begins, so a sender that
falls behind makes the figure worse, not better.

Source:
    G. Tene, "How NOT to Measure Latency", on coordinated omission.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from benchmarks.order import Order

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


async def send_on_schedule(add: Callable[[int], Coroutine[Any, Any, Any]], order: Order) -> None:
    """Add jobs on schedule, without a wait for the ones before; return once all are stored.

    A thread keeps the time: the timers of event loops are coarse (uvloop's: 1 ms), and a loop that
    is blocked must not stop the clock. To the loop each job comes like a request from a socket.

    Parameters:
        add: Adds a job that was due at a moment, in nanoseconds.
        order: Its jobs, the warm-up included, and its rate.
    """
    loop = asyncio.get_running_loop()
    adding: list[asyncio.Task[Any]] = []

    def begin(due_ns: int) -> None:
        adding.append(loop.create_task(add(due_ns)))

    def keep_time() -> None:
        for due_ns in due_moments_ns(order.per_s, order.warm_up + order.jobs):
            loop.call_soon_threadsafe(begin, due_ns)

    thread = threading.Thread(target=keep_time, name="schedule", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)  # the last call from the thread is run before this goes on
    await asyncio.gather(*adding)
