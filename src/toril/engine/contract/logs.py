"""The log lines of jobs, read and written from outside an attempt.

A running attempt writes through `Dispatch.speak` instead, which checks its token.
"""

from __future__ import annotations

from typing import Protocol


class Logs(Protocol):
    """Log lines of jobs."""

    async def read(
        self, queue: str, job_id: str, *, start: int, limit: int, newest_first: bool = False
    ) -> tuple[list[str], int]:
        """Return up to `limit` lines from `start`, and how many the job has.

        Parameters:
            start: How many to pass over: of the oldest, or of the newest if `newest_first`.
            newest_first: Return lines in the other order.

        Raises:
            JobNotFoundError: The job does not exist.
        """
        ...

    async def add(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
        """Append a line and drop all but the newest `keep`. Return how many the job has now.

        Raises:
            JobNotFoundError: The job does not exist.
        """
        ...
