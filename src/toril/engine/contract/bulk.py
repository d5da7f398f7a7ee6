"""Verbs over many jobs of a queue, in chunks."""

from __future__ import annotations

from typing import Protocol

from toril.engine.states import State


class Bulk(Protocol):
    """Changes many jobs at once.

    Each call handles one chunk: at most `limit` jobs. It returns how many it handled, or which; the
    caller repeats the call until there are fewer than `limit`. No chunk blocks the store for longer
    than 50 ms, so that workers go on in between. A queue that does not exist has no jobs.
    """

    async def retry(
        self, queue: str, state: State, *, limit: int, finished_until_ms: int, reset_attempts: bool
    ) -> int:
        """Put up to `limit` jobs of a finished state back in line, oldest first.

        Parameters:
            queue: Whose jobs.
            state: `failed` or `completed`.
            limit: Jobs in this call.
            finished_until_ms: Skip jobs that finished later. A caller that repeats the call passes
                the same moment each time; otherwise jobs that fail again would be retried for ever.
            reset_attempts: Give each job its full number of attempts again.
        """
        ...

    async def promote(self, queue: str, *, limit: int) -> int:
        """Make up to `limit` delayed jobs ready, soonest first."""
        ...

    async def drain(self, queue: str, *, delayed: bool, limit: int) -> int:
        """Remove up to `limit` jobs in line and, if `delayed`, delayed ones. No events."""
        ...

    async def clean(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> list[str]:
        """Remove up to `limit` jobs of a state that are older than an age; return their ids.

        The age of a finished job counts from its finish, that of any other from when it was added.
        Finished jobs are removed oldest first, others in the order of their line. A store may have
        to read a whole line to find old jobs; it does so in small steps. Each step that removed
        jobs emits one `cleaned` with their count. The caller refuses states that are not `LOOSE`.
        """
        ...

    async def obliterate(self, queue: str, *, force: bool, limit: int) -> int:
        """Remove up to `limit` jobs of a paused queue. Once none is left, remove the queue itself.

        Returns:
            How many jobs were removed. 0: the queue is gone, with events, limits and counters.

        Raises:
            WrongStateError: The queue is not paused, or a worker holds one of its jobs and `force`
                is not set.
        """
        ...
