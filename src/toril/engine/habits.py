"""Warns developers of two habits that make a service slow, in Python's development mode only.

The mode is `python -X dev`, or `PYTHONDEVMODE=1`. Without it nothing is counted.
"""

from __future__ import annotations

import contextvars
import sys
import warnings

from toril.core.errors import HabitWarning

SINGLE_ADDS = 50
"""More jobs added one by one in one turn of an event loop are worth a warning."""

IN_REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("toril_request", default="")
"""The request that this code answers, such as `POST /orders`. Empty: it answers none."""


def watching() -> bool:
    """Return whether this process runs in development mode."""
    return sys.flags.dev_mode


def warn_of_single_adds(jobs: int, queue: str) -> None:
    """Warn if one turn of an event loop has added many jobs one by one.

    Parameters:
        jobs: How many.
        queue: The first one's queue.
    """
    if jobs > SINGLE_ADDS and watching():
        warnings.warn(
            f"{jobs} jobs were added one by one in one turn of the event loop, the first one to"
            f" queue {queue!r}: enqueue_many() of a task or add_many() of a queue adds them by one"
            " call",
            HabitWarning,
            stacklevel=2,
        )


def warn_of_waiting_in_request(job_id: str) -> None:
    """Warn if code that answers a request is about to wait for a job.

    Parameters:
        job_id: The job's.
    """
    if watching() and (request := IN_REQUEST.get()):
        warnings.warn(
            f"{request} waits for the result of job {job_id!r}, and its caller waits as long as the"
            " job does: answer with the job's id, and let the caller ask for its state",
            HabitWarning,
            stacklevel=3,
        )
