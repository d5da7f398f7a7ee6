"""De-duplication ids: which job holds one, and how it is released by hand.

`Jobs.add` gives ids to new jobs and turns away jobs whose id is taken. `Dispatch.exchange` frees
the id of a job that ends.
"""

from __future__ import annotations

from typing import Protocol


class DeduplicationIds(Protocol):
    """De-duplication ids of a queue."""

    async def holder(self, queue: str, deduplication_id: str) -> str | None:
        """Return the id of the job that holds a de-duplication id. None: the id is free.

        An id that is held for a time may outlive its job.
        """
        ...

    async def release(self, queue: str, deduplication_id: str) -> bool:
        """Free a de-duplication id for the next job. Return whether a job held it.

        A job that was put aside for the id stays aside: the store adds it when the holder finishes.
        """
        ...
