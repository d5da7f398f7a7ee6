"""A job in BullMQ's words: read once, with calls that ask the store again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from toril.core.errors import JobNotFoundError
from toril.engine.handle import Job
from toril.engine.info import JobInfo
from toril.engine.states import State


class BullJob:
    """What was known of a job when it was read, under the names that `bullmq` has for it."""

    def __init__(self, job: Job[Any], name: str, data: Any, info: JobInfo | None = None) -> None:
        """Take what is known.

        Parameters:
            job: Its handle.
            name: Its name.
            data: What it carries.
            info: What the store has said of it. None: it was just added, and nobody has asked.
        """
        self.job = job
        """The same job in Toril's own words."""
        self.id = job.id
        self.name = name
        self.data = data
        self.opts = {} if info is None else info.options
        """As stored: `attempts`, `removeOnComplete` and so on."""
        self.progress = 0 if info is None or info.progress is None else info.progress
        self.returnvalue = None if info is None else info.result
        """`completed`: what the task returned."""
        self.failed_reason = None if info is None else info.failed_reason
        self.attempts_made = 0 if info is None else info.attempts_made
        self.timestamp = None if info is None else _ms(info.created_at)
        """When it was added, in milliseconds since 1970; so the next two."""
        self.processed_on = None if info is None else _ms(info.processed_at)
        self.finished_on = None if info is None else _ms(info.finished_at)
        attempts = [] if info is None else info.attempts
        self.stacktrace = [one.traceback for one in attempts if one.traceback]
        """Of its failed attempts, oldest first."""

    @classmethod
    def of(cls, job: Job[Any], info: JobInfo) -> BullJob:
        """Return a job as the store knows it."""
        return cls(job, info.name, info.data, info)

    def __repr__(self) -> str:
        return f"BullJob(id={self.id!r}, name={self.name!r})"

    async def get_state(self) -> str:
        """Return where the job is now.

        One of `waiting`, `prioritized`, `delayed`, `waiting-children`, `active`, `completed` and
        `failed`; or `unknown`: it is gone.
        """
        try:
            return shown(await self.job.state())
        except JobNotFoundError:
            return "unknown"

    async def wait_until_finished(self, ttl: int | None = None) -> Any:
        """Wait for the job, and return what its task returned. No reader of events is needed.

        Parameters:
            ttl: The longest wait, in milliseconds. None: for ever.

        Raises:
            JobFailedError: It failed for good; the message is the reason.
            JobNotFoundError: It is gone.
            ResultTimeoutError: It has not finished in time. It goes on.
        """
        return await self.job.result(None if ttl is None else ttl / 1000)

    async def retry(self) -> None:
        """Put the job back in line, if it has failed or completed.

        Raises:
            JobNotFoundError: It is gone.
            WrongStateError: It has not finished.
        """
        await self.job.retry()

    async def promote(self) -> None:
        """Let a delayed job run now; errors as `retry`."""
        await self.job.promote()

    async def remove(self) -> bool:
        """Remove the job; return whether it was there.

        Raises:
            WrongStateError: It runs.
        """
        return await self.job.remove()


def shown(state: State) -> str:
    """Return a state as `getState` of BullMQ says it."""
    return "waiting" if state == State.WAIT else state.value


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)
