"""What a migration needs of the store that jobs leave, and of the store that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from toril.engine.deduplication import HeldId
from toril.engine.job import WholeJob
from toril.engine.states import State


class Moving(Protocol):
    """Copies jobs from one store to another, whole. Nothing here emits events."""

    async def logs(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        """Return all log lines of each job, oldest first. A job that is gone has none."""
        ...

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        """Return the de-duplication id that each job holds. None: it holds none."""
        ...

    async def adopt(self, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        """Add jobs of another store as they are, all or none. One answer for each, in order.

        Jobs keep ids, states, moments, attempts, logs, results and reasons. Ready jobs go to the
        end of the line of their priority, in the order given. Delayed jobs go behind those that are
        due in the same millisecond. Finished jobs add to the queue's totals. The queue numbers new
        jobs from above the highest number among the ids. A job keeps its de-duplication id, unless
        another job here holds it. The store may drop the reason of a cancellation: it matters to
        active jobs only. The caller refuses jobs whose state is not `LOOSE`.

        Returns:
            False: a job with that id exists here. It was not touched.
        """
        ...

    async def remove(self, queue: str, state: State, job_ids: Sequence[str]) -> list[bool]:
        """Remove those of some jobs that are in a state, all or none. One answer each, in order.

        Cheapest in the order in which the state lists its jobs. The caller refuses states that are
        not `LOOSE`.
        """
        ...
