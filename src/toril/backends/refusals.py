"""What both stores say when a job is not there."""

from __future__ import annotations

from toril.core.errors import JobNotFoundError


def not_found(queue: str, job_id: str) -> JobNotFoundError:
    """Return the error for a job that is not there."""
    return JobNotFoundError(
        f"queue {queue!r} has no job {job_id!r}: it was removed, or the id or queue is another",
        job_id=job_id,
        queue=queue,
    )
