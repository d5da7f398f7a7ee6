"""What the tests of the runners share: calls, slots that are closed and checked, waiting."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil
from tests.support.children import own_children

from toril.core.codec import Json, encode_bytes
from toril.engine.context import Facts, LineLogged, TaskMessage
from toril.engine.runners.frames import ProcessCall
from toril.engine.runners.processes import ProcessOptions, ProcessSlots
from toril.engine.runners.references import reference

WITHIN_S = 30.0


async def wait_until(holds: Callable[[], object], *, within_s: float = WITHIN_S) -> None:
    """Return once `holds()` is true. A deadline, not a pause: it looks every 5 ms."""
    deadline_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline_s, f"it did not come true within {within_s} s"
        await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(
    *,
    provided: bytes = b"",
    options: ProcessOptions | None = None,
    is_full: Callable[[], bool] = lambda: False,
) -> AsyncIterator[ProcessSlots]:
    """Give slots; close them, and check that no process and no descriptor is left behind."""
    before = open_fds()
    slots = ProcessSlots(provided=provided, options=options, is_full=is_full)
    try:
        yield slots
    finally:
        await slots.close()
    assert own_children() == []
    assert open_fds() == before


def facts(job_id: str = "17") -> Facts:
    return Facts(
        job_id=job_id,
        queue="media",
        task="resize",
        attempt=1,
        max_attempts=3,
        worker_id="host-1-abc",
        created_at_ms=1_700_000_000_000,
    )


def call(target: object, payload: Json = None, *, job_id: str = "17") -> ProcessCall:
    ref = target if isinstance(target, str) else reference(target)
    return ProcessCall(ref, encode_bytes(payload), facts(job_id))


def nowhere(said: TaskMessage) -> None:
    """An `emit` for tasks that say nothing of interest."""


def lines(said: list[TaskMessage]) -> list[str]:
    return [one.line for one in said if isinstance(one, LineLogged)]


def only_pid(slots: ProcessSlots) -> int:
    [child] = slots.children()
    return child.pid


def is_gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has reaped it yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def open_fds() -> list[str]:
    return sorted(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else []
