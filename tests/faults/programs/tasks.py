"""The tasks of the faults, and their app. Where its jobs live, `TORIL_URL` says.

A task of `marking` leaves its side effect at its very end: one line in the file that `FAULTS_MARKS`
names, appended in one write, so that a kill leaves a whole line or none.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from datetime import timedelta
from pathlib import Path

from tests.faults.programs.movable_clock import MovableClock

from toril import App, Context, Fail, JobOptions, Node, RetryPolicy
from toril.backends.sqlite import connection
from toril.core.clock import Clock

TIMEOUT_S = 0.5
"""The limit of the tasks that never return."""

_marks = os.environ.get("FAULTS_MARKS")
_calendar = os.environ.get("FAULTS_CALENDAR")
_clock: Clock | None = MovableClock(Path(_calendar)) if _calendar else None

connection.BUSY_S = 60.0  # the disk may stand still for a while: not what is asked here
app = App(clock=_clock)
once = RetryPolicy(max_attempts=1)
often = RetryPolicy(max_attempts=20, backoff="fixed", base_s=0.05)


def mark(ctx: Context) -> None:
    """Append `queue/id`."""
    if _marks is None:
        return
    file = os.open(_marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{ctx.queue}/{ctx.job_id}\n".encode())
    finally:
        os.close(file)


@app.task(queue="loop", retry=often)
async def mark_on_loop(ctx: Context, duration_s: float = 0.0) -> None:
    await asyncio.sleep(duration_s)
    mark(ctx)


@app.task(queue="twice", retry=often)
async def mark_twice(ctx: Context, duration_s: float) -> None:
    """Leave a mark at the beginning, too."""
    mark(ctx)
    await asyncio.sleep(duration_s)
    mark(ctx)


@app.task(queue="thread", retry=often)
def mark_in_thread(ctx: Context, duration_s: float = 0.0) -> None:
    time.sleep(duration_s)
    mark(ctx)


@app.task(queue="process", run_in="process", retry=often)
def mark_in_process(ctx: Context, duration_s: float = 0.0) -> None:
    time.sleep(duration_s)
    mark(ctx)


@app.task(queue="dying", retry=RetryPolicy(max_attempts=2, backoff="fixed", base_s=0.01))
async def die(duration_s: float) -> None:
    """Fail for good, a while after it began."""
    await asyncio.sleep(duration_s)
    raise ValueError("it dies each time")


@app.task(queue="nothing")
async def do_nothing() -> None:
    """Cost as little as a job can."""


@app.task(queue="blocking", retry=once)
async def block_the_loop(duration_s: float, spin: bool = False) -> int:
    """Do what a task on the loop must not: hold it. `spin` keeps the interpreter's lock as well."""
    until_s = time.monotonic() + duration_s
    if not spin:
        time.sleep(duration_s)
    while time.monotonic() < until_s:
        pass
    return os.getpid()


@app.task(queue="held", retry=once)
async def hold_until(path: str) -> int:
    """Run until a file is there."""
    while not Path(path).exists():
        await asyncio.sleep(0.01)
    return os.getpid()


@app.task(queue="held", retry=once)
def hold_until_in_thread(path: str) -> int:
    while not Path(path).exists():
        time.sleep(0.01)
    return os.getpid()


@app.task(queue="endless", retry=once, timeout=timedelta(seconds=TIMEOUT_S))
async def never_return_on_loop() -> None:
    await asyncio.Event().wait()


@app.task(queue="endless", retry=once, timeout=timedelta(seconds=TIMEOUT_S))
async def swallow_cancellation_on_loop() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            continue


@app.task(queue="endless", retry=once, timeout=timedelta(seconds=TIMEOUT_S))
def never_return_in_thread() -> None:
    while True:
        time.sleep(0.01)


@app.task(queue="endless", retry=once, timeout=timedelta(seconds=TIMEOUT_S))
def sit_in_a_c_call_in_thread() -> None:
    time.sleep(3600)


@app.task(queue="endless", retry=once, timeout=timedelta(seconds=TIMEOUT_S), run_in="process")
def never_return_in_process() -> None:
    while True:
        pass


@app.task(queue="endless", retry=once)
async def return_at_once() -> str:
    return "done"


@app.task(queue="crashing", retry=once, run_in="process")
def crash_natively() -> None:
    ctypes.string_at(0)


@app.task(queue="crashing", retry=once, run_in="process")
def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(queue="crashing", retry=once, run_in="process")
def leave() -> None:
    os._exit(3)


@app.task(queue="crashing", retry=once, run_in="process")
def want_too_much_memory() -> int:
    return len(bytearray(1 << 40))


@app.task(queue="crashing", retry=once, run_in="process")
def work_beside_crashes(duration_s: float) -> int:
    time.sleep(duration_s)
    return os.getpid()


@app.task(queue="sums", retry=often)
async def count_children(ctx: Context) -> int:
    """Return how many children have completed."""
    return len(await ctx.children_results())


@app.task(queue="grow", retry=often)
async def grow_children(ctx: Context, many: int) -> int:
    """Add children while running, wait for them, and count them: the same in each attempt."""
    ids = [f"{ctx.job_id}-{number}" for number in range(many)]
    await ctx.add_children(
        [Node("loop", "mark_on_loop", options=JobOptions(job_id=job_id)) for job_id in ids]
    )
    await ctx.wait_for_children()
    return len(await ctx.children_results())


@app.task(queue="loop", retry=once)
async def fail_at_once() -> None:
    raise Fail("as it was told to")


@app.task(queue="counted", retry=RetryPolicy(max_attempts=2, backoff="fixed", base_s=0.05))
async def fail_at_first(ctx: Context, times: int, duration_s: float) -> None:
    """Fail so many times, each a while after it began."""
    await asyncio.sleep(duration_s)
    if ctx.attempt <= times:
        raise ValueError("not yet")
