"""A queue in BullMQ's words, for who ports a program of its: `add`, `get_job_counts`, `get_failed`.

It is a view: whatever is asked goes to the same store and by the same rules as `app.queue(name)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Unpack

from toril.core.checks import is_whole, require, unknown
from toril.core.errors import InvalidOptionError, JobNotFoundError
from toril.engine.info import JobInfo
from toril.engine.options import JobOptions
from toril.typed.bull_job import BullJob
from toril.typed.job_settings import AddOptions, JobSettings

if TYPE_CHECKING:
    from toril.app import App

NewJob = tuple[str, Any] | tuple[str, Any, AddOptions]
"""Name, data and, if it has some, options."""

COUNTED = (
    "active", "waiting", "prioritized", "delayed", "waiting-children", "completed", "failed",
)  # fmt: skip
"""What `get_job_counts` counts."""
_PAGE = 1000


class BullQueue:
    """A queue: `BullQueue(app, "push-notifications")`.

    Parameters:
        app: Whose queue.
        name: Which.
    """

    def __init__(self, app: App, name: str) -> None:
        self.name = name
        self.queue = app.queue(name)
        """The same queue in Toril's own words."""

    def __repr__(self) -> str:
        return f"BullQueue({self.name!r})"

    async def add(self, name: str, data: Any, **options: Unpack[AddOptions]) -> BullJob:
        """Add a job, and return it.

        Parameters:
            name: Of the job.
            data: What it carries.
            options: See `AddOptions`. What is not given is the queue's.

        Raises:
            InvalidPayloadError: The payload is not what the queue takes; nothing was added.
            PayloadTooLargeError: It is too large.
            InvalidOptionError: An option makes no sense.
        """
        return (await self.add_bulk([(name, data, options)]))[0]

    async def add_bulk(self, jobs: Iterable[NewJob]) -> list[BullJob]:
        """Add jobs, all or none up to 2,000 of them; errors as `add`."""
        named = [(one[0], one[1], _options(one[2] if len(one) == 3 else {})) for one in jobs]
        added = await self.queue.add_many(named)
        return [BullJob(job, one[0], one[1]) for job, one in zip(added, named, strict=True)]

    async def get_job(self, job_id: str) -> BullJob | None:
        """Return a job; None: there is none of this id."""
        job = self.queue.job(job_id)
        try:
            return BullJob.of(job, await job.info())
        except JobNotFoundError:
            return None

    async def get_job_counts(self, *states: str) -> dict[str, int]:
        """Count the jobs of each state; 0 of all if nothing was ever added.

        Parameters:
            states: Some of `COUNTED`. Default: all.

        Raises:
            InvalidOptionError: There is no such state.
        """
        for state in states:
            require(state in COUNTED, "state", state, f"one of {', '.join(COUNTED)}")
        info = await self.queue.info()
        found = {state: getattr(info, state.replace("-", "_"), 0) for state in COUNTED}
        return {state: found[state] for state in states or COUNTED}

    async def get_jobs(
        self, states: str | Iterable[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list[BullJob]:
        """Return jobs, of each state those from `start` to `end`, both counted from 0.

        Parameters:
            states: Such as `failed`, or several.
            start: The first.
            end: The last, itself among them. -1: to the last there is.
            asc: Oldest first. Default: newest first.

        Raises:
            InvalidOptionError: There is no such state, or a number makes no sense.
        """
        require(is_whole(start) and start >= 0, "start", start, "an integer from 0")
        require(is_whole(end) and end >= -1, "end", end, "an integer from 0, or -1 for all")
        words = [states] if isinstance(states, str) else list(states)
        found = [job for state in words for job in await self._of(state, start, end, asc)]
        return [BullJob.of(self.queue.job(info.id), info) for info in found]

    async def get_failed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Return jobs that have failed, newest first; parameters as of `get_jobs`."""
        return await self.get_jobs("failed", start, end)

    async def get_completed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Return jobs that are completed, newest first."""
        return await self.get_jobs("completed", start, end)

    async def get_active(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Return jobs that run, those first that began first."""
        return await self.get_jobs("active", start, end, asc=True)

    async def get_waiting(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Return jobs that wait without a priority, in the order in which they will run."""
        return await self.get_jobs("waiting", start, end, asc=True)

    async def get_delayed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Return delayed jobs, those first that are due first."""
        return await self.get_jobs("delayed", start, end, asc=True)

    async def _of(self, state: str, start: int, end: int, asc: bool) -> list[JobInfo]:
        wanted = None if end == -1 else end + 1
        found: list[JobInfo] = []
        after: str | None = None
        while wanted is None or len(found) < wanted:
            limit = _PAGE if wanted is None else min(_PAGE, wanted - len(found))
            word = "wait" if state == "waiting" else state
            page = await self.queue.jobs(word, limit=limit, after=after, newest_first=not asc)
            found += page.jobs
            after = page.next
            if after is None:
                break
        return found[start:]


def _options(given: AddOptions) -> JobOptions | None:
    if not given:
        return None
    rest: dict[str, Any] = {**given}
    job_id = rest.pop("job_id", None)
    known = set(AddOptions.__annotations__)
    if others := sorted(rest.keys() - known):
        raise InvalidOptionError(unknown("option", others[0], sorted(known)))
    return JobSettings(**rest).options(job_id)
