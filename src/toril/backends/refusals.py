"""What both stores say when a job is not there, or belongs to its schedule."""

from __future__ import annotations

from toril.core.errors import JobNotFoundError, WrongStateError


def not_found(queue: str, job_id: str) -> JobNotFoundError:
    """Return the error for a job that is not there."""
    return JobNotFoundError(
        f"queue {queue!r} has no job {job_id!r}: it was removed, or the id or queue is another",
        job_id=job_id,
        queue=queue,
    )


def of_schedule(queue: str, job_id: str) -> WrongStateError:
    """Return the error for a job that only its schedule may remove."""
    return WrongStateError(
        f"job {job_id!r} of queue {queue!r} is the next one of its schedule; remove the schedule",
        job_id=job_id,
        queue=queue,
    )
