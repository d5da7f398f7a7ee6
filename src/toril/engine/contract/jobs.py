"""Jobs one by one and in bulk: add, look up, list, and what an operator may do to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from toril.engine.deduplication import HeldId
from toril.engine.job import Added, JobRecord, NewJob, WholeJob
from toril.engine.states import State


class JobFilter(msgspec.Struct, kw_only=True, frozen=True):
    """A page of one queue's jobs."""

    queue: str
    states: tuple[State, ...]
    """One or more, each once: the jobs of each come after those of the one before."""
    limit: int = 50
    after: str | None = None
    """`JobPage.next` of the page before. None: from the start."""
    newest_first: bool = False
    """Each state from its end; the states stay in their order. Finished jobs read best newest
    first; waiting ones in the order in which they will run."""


class JobPage(msgspec.Struct, frozen=True):
    """Jobs of one page."""

    jobs: list[JobRecord]
    next: str | None
    """Where the next page begins. None: this was the last."""


class Jobs(Protocol):
    """Everything about jobs that no worker is needed for.

    The methods that take `limit` do one chunk of at most that many and return how many they did;
    the caller asks again until it gets less. No chunk holds the store for longer than 50 ms.
    """

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        """Add jobs, all or none; one answer each, in order.

        A job whose id is taken is not added again, its event is `duplicated`. The ids are checked
        by the caller. Calls made in the same turn of the event loop may travel together. Nor is one
        added whose de-duplication id another job holds, unless its rule says so; the answer then
        names the holder, the event is `deduplicated`.
        """
        ...

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        """Return one job, or None."""
        ...

    async def page(self, wanted: JobFilter) -> JobPage:
        """Return one page of jobs, of one moment. Cost: O(page), not O(queue).

        Raises:
            InvalidOptionError: `after` is not the `next` of a page of these states.
        """
        ...

    async def remove(self, queue: str, job_id: str) -> State | None:
        """Remove a job and return the state it was in; None if there is none.

        Raises:
            WrongStateError: If a worker holds it, or it waits for its children.
        """
        ...

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        """Put a finished job back in line, with its priority; its history stays.

        Raises:
            JobNotFoundError: There is none.
            WrongStateError: It is neither failed nor completed.
        """
        ...

    async def retry_many(
        self, queue: str, state: State, *, limit: int, finished_until_ms: int, reset_attempts: bool
    ) -> int:
        """Put up to `limit` jobs of a finished state back in line, oldest first."""
        ...

    async def promote(self, queue: str, job_id: str) -> None:
        """Make a delayed job ready now.

        Raises:
            JobNotFoundError: There is none.
            WrongStateError: It is not delayed.
        """
        ...

    async def promote_many(self, queue: str, *, limit: int) -> int:
        """Make up to `limit` delayed jobs ready, soonest first."""
        ...

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        """Make a delayed job due `delay_ms` from now.

        Raises:
            JobNotFoundError: There is none.
            WrongStateError: It is not delayed.
        """
        ...

    async def change_priority(self, queue: str, job_id: str, *, priority: int, lifo: bool) -> None:
        """Give a job another priority; one in line moves to the end of it (`lifo`: the front).

        Raises:
            JobNotFoundError: There is none.
        """
        ...

    async def update_data(self, queue: str, job_id: str, *, data: str) -> None:
        """Replace a job's payload (JSON text).

        Raises:
            JobNotFoundError: There is none.
            WrongStateError: A worker holds it.
        """
        ...

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        """Stop a job for good and return the state it was in.

        A job in line or delayed, or a parent that waits, fails at once with `reason`; its children
        go on. Of one that runs, its worker is told;
        it fails when the task has ended. Should it come back instead (its worker died, or had not
        heard of it), it carries a deferred failure, so that nobody runs it again.

        Raises:
            JobNotFoundError: There is none.
            WrongStateError: It has finished.
        """
        ...

    async def drain(self, queue: str, *, delayed: bool, limit: int) -> int:
        """Remove up to `limit` jobs in line and, if `delayed`, those due later. No events."""
        ...

    async def clean(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> int:
        """Remove up to `limit` jobs of a state that are older than an age.

        Age counts from the finish, or from when the job was added. Finished jobs go oldest first,
        others in the order of their line; to find those, a store may have to look at all, and
        does so in small steps. A state that is not `LOOSE` is refused by the caller. A `cleaned`
        event with the count for each step that removed some.
        """
        ...

    async def obliterate(self, queue: str, *, force: bool, limit: int) -> int:
        """Remove up to `limit` jobs of a paused queue; once none is left, the queue itself.

        Returns:
            How many jobs went. 0: the queue is gone, with events, limits and counters.

        Raises:
            WrongStateError: It is not paused, or a worker holds a job and `force` is not set.
        """
        ...

    async def deduplicating(self, queue: str, deduplication_id: str) -> str | None:
        """Return the id of the job that holds a de-duplication id, or None."""
        ...

    async def release_deduplication(self, queue: str, deduplication_id: str) -> bool:
        """Let the next job have a de-duplication id; return whether one held it.

        A job that was put aside for it stays aside: it is added when the holder has finished.
        """
        ...

    async def logs(
        self, queue: str, job_id: str, *, start: int, limit: int
    ) -> tuple[list[str], int]:
        """Return log lines from `start` (oldest is 0) and how many there are.

        Raises:
            JobNotFoundError: There is none.
        """
        ...

    async def add_log(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
        """Add a log line from outside an attempt; return how many lines there are.

        Raises:
            JobNotFoundError: There is none.
        """
        ...

    async def logs_many(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        """Return all log lines of each job, oldest first; none of a job that is not there."""
        ...

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        """Return the de-duplication id that each job holds; None of one that holds none."""
        ...

    async def adopt(self, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        """Take over jobs from another store as they are, all or none; one answer each, in order.

        They keep ids, states, moments, attempts, logs, results and reasons. Ready ones go to the
        end of the line that their priority says, in the order given, delayed ones behind those due
        in the same millisecond; finished ones add to the queue's totals. Numbers that the queue
        gives to new jobs go on above those of the jobs. Why a job was cancelled is told of active
        ones only and may be dropped; what is neither `LOOSE` nor a parent that waits is refused by
        the caller. Parents and children know each other again. A de-duplication id is theirs here
        too, unless another job holds it. No events.

        Returns:
            False: a job of that id is there; it was not touched.
        """
        ...

    async def remove_many(self, queue: str, state: State, job_ids: Sequence[str]) -> list[bool]:
        """Remove jobs that live on in another store, if they are in that state. No events.

        All or none; one answer each, in order. Their parents are not told. Cheapest in the order in
        which the state's jobs stand. A state that is neither `LOOSE` nor `waiting-children` is
        refused by the caller.
        """
        ...
