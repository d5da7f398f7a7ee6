"""The log lines of jobs, read and written from outside an attempt.

A running attempt writes through `Dispatch.speak` instead, which checks its token.
"""

from __future__ import annotations

from typing import Protocol


class Logs(Protocol):
    """Log lines, oldest first."""

    async def read(
        self, queue: str, job_id: str, *, start: int, limit: int
    ) -> tuple[list[str], int]:
        """Return up to `limit` lines from `start` (0 is the oldest), and how many the job has.

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
