"""Single jobs: add, look up, list, and what an operator may do to one of them.

Read next: `bulk.py` (the same verbs over many jobs), `dispatch.py` (what workers do).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.states import State


class JobFilter(msgspec.Struct, kw_only=True, frozen=True):
    """Which page of a queue's jobs to return."""

    queue: str
    states: tuple[State, ...]
    """One state or more, none twice. The page lists all jobs of a state before the next state."""
    limit: int = 50
    after: str | None = None
    """`JobPage.next` of the previous page. None: the first page."""
    newest_first: bool = False
    """List each state backwards; the order of the states stays. Finished jobs read best newest
    first, waiting jobs in the order in which they will run."""


class JobPage(msgspec.Struct, frozen=True):
    """One page of jobs."""

    jobs: list[JobRecord]
    next: str | None
    """Pass this as `JobFilter.after` to get the next page. None: this is the last page."""


class Jobs(Protocol):
    """Reads and changes single jobs. No worker is needed.

    Which verb is allowed in which state: `ALLOWED` in `engine/states.py`. A verb that is refused
    has changed nothing.
    """

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        """Add jobs, all or none. Return one answer for each, in order.

        If a job with the same id exists, the store adds nothing and emits `duplicated`. If another
        job holds the new job's de-duplication id, the store adds nothing, answers with the holder's
        id and emits `deduplicated`, unless the job's rule says otherwise. The caller has checked
        the ids. Calls made in the same turn of the event loop may share one transaction.
        """
        ...

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job. None: it does not exist."""
        ...

    async def page(self, wanted: JobFilter) -> JobPage:
        """Return a page of jobs, all read at the same moment. Cost: O(page), not O(queue).

        Raises:
            InvalidOptionError: `after` is not the `next` of a page of these states.
        """
        ...

    async def remove(self, queue: str, job_id: str) -> State | None:
        """Remove a job. Return the state it was in; None: it does not exist.

        Raises:
            WrongStateError: A worker holds the job, or it waits for its children.
        """
        ...

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        """Put a finished job back in line with its priority. It keeps its history.

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: The job has neither failed nor completed.
        """
        ...

    async def promote(self, queue: str, job_id: str) -> None:
        """Make a delayed job ready now.

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: The job is not delayed.
        """
        ...

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        """Make a delayed job due `delay_ms` from now.

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: The job is not delayed.
        """
        ...

    async def change_priority(self, queue: str, job_id: str, *, priority: int, lifo: bool) -> None:
        """Change a job's priority. A job in line moves to the end of the new one (`lifo`: front).

        Raises:
            JobNotFoundError: The job does not exist.
        """
        ...

    async def update_data(self, queue: str, job_id: str, *, data: str) -> None:
        """Replace a job's payload (JSON text).

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: A worker holds the job.
        """
        ...

    async def set_progress(self, queue: str, job_id: str, *, progress: str) -> None:
        """Replace a job's progress (JSON text). Emits `progress`.

        It needs no token: a running attempt goes on, and may report its own progress after it.

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: The job has finished.
        """
        ...

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        """Stop a job for good. Return the state it was in.

        A job in line or delayed, or a parent that waits for its children, fails at once with
        `reason`; the children go on. A running job gets a deferred failure, and its worker learns
        of the cancellation with its next renewal; the job fails when the task has ended. If the job
        comes back in line instead, because its worker died or had not heard, the next worker fails
        it without running it.

        Raises:
            JobNotFoundError: The job does not exist.
            WrongStateError: The job has finished.
        """
        ...
