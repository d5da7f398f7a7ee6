"""Which job the running code works for, and which span it is in, so that log lines can say so.

A context variable: it follows the code of a task into its coroutines and into its thread. In a
child process it is set there. In the worker's it is set only if somebody asks, since each attempt
pays for it.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, NamedTuple

from toril.engine.context import Facts
from toril.engine.job import Claimed
from toril.engine.tracing import TraceIds

CURRENT: contextvars.ContextVar[Claimed | Facts | None] = contextvars.ContextVar(
    "toril_job", default=None
)


class JobNames(NamedTuple):
    """Which job, and which attempt at it."""

    queue: str
    job_id: str
    task: str
    attempt: int
    """From 1."""

    def __str__(self) -> str:
        return f"job {self.job_id} of {self.queue} ({self.task})"


class Asked:
    """Whether somebody in this process wants to know. One a process: `ASKED`."""

    def __init__(self) -> None:
        self.asked = False
        self.trace: Callable[[], TraceIds | None] | None = None
        """Tells in which span the running code is. None: nobody traces here."""

    def ask(self) -> None:
        """Have the workers that start from now on tell it."""
        self.asked = True


ASKED = Asked()


def current_job() -> JobNames | None:
    """Return the job that the running code works for; None: for none, or nobody has asked."""
    found: Any = CURRENT.get()
    if found is None:
        return None
    if type(found) is Claimed:
        return JobNames(found.queue, found.id, found.name, found.attempts_made + 1)
    return JobNames(found.queue, found.job_id, found.task, found.attempt)


def current_trace() -> TraceIds | None:
    """Return in which span the running code is; None: in none, or nobody traces here."""
    return None if ASKED.trace is None else ASKED.trace()
