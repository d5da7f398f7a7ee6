"""Manages one queue of named types of jobs: adds, counts, pauses, cleans. Times in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from toril.core.errors import InvalidOptionError, JobNotFoundError, TorilError
from toril.engine.handle import Job
from toril.engine.options import JobOptions
from toril.engine.queue import Queue

DAY_MS = 86_400_000
_COUNTED = ("waiting", "active", "completed", "failed", "delayed")


class QueueJobs:
    """Fulfils `JobManager`. Call `initialize` first; twice is harmless.

    Parameters:
        queue: Which.
        types: Names of jobs that may be added.
        older: Other names that may be, and are not listed when one is refused.
        read_options: Makes the options of a job of what a caller says: see `read_options`.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        types: Collection[str],
        older: Collection[str] = (),
        read_options: Callable[[Mapping[str, Any]], JobOptions],
    ) -> None:
        self._of = queue
        self._types = types
        self._taken = {*types, *older}
        self._read_options = read_options
        self._is_ready = False

    async def initialize(self) -> None:
        """Open the store.

        Raises:
            BackendError: It cannot be opened.
        """
        await self._of.info()
        self._is_ready = True

    @property
    def queue(self) -> Queue:
        """The queue.

        Raises:
            TorilError: `initialize` was not called.
        """
        if not self._is_ready:
            raise TorilError("this queue is not ready: await its initialize() first")
        return self._of

    async def add_job(
        self, kind: str, data: Mapping[str, Any], options: Mapping[str, Any] | None = None
    ) -> tuple[Job[Any], bool]:
        """Add a job; return it, and whether there was one of its id already.

        Raises:
            InvalidOptionError: The type is none, or an option makes no sense.
            InvalidPayloadError: The payload is not one of this type.
        """
        queue = self.queue
        if kind not in self._taken:
            raise InvalidOptionError(f"type={kind!r}: expected one of {', '.join(self._types)}")
        read = self._read_options(options or {})
        if read.job_id is not None:
            known = queue.job(read.job_id)
            try:
                await known.state()
            except JobNotFoundError:
                pass
            else:
                return known, True
        return await queue.add(kind, dict(data), read), False

    def get_job(self, job_id: str) -> Job[Any]:
        """Return the handle of a job."""
        return self.queue.job(job_id)

    async def remove_job(self, job_id: str) -> bool:
        """Remove a job; return whether it was there.

        Raises:
            WrongStateError: It runs.
        """
        return await self.get_job(job_id).remove()

    async def get_stats(self) -> dict[str, Any]:
        """Count the jobs that are kept, by state. Those with a priority wait, too."""
        info = await self.queue.info()
        found: dict[str, Any] = {state: getattr(info, state, 0) for state in _COUNTED}
        found["waiting"] += getattr(info, "prioritized", 0)
        return {**found, "paused": getattr(info, "paused", False)}

    async def pause(self) -> None:
        """Let no job start."""
        await self.queue.pause()

    async def resume(self) -> None:
        """Let jobs start again."""
        await self.queue.resume()

    async def clean_completed(self, older_than_ms: int = DAY_MS, limit: int = 1000) -> int:
        """Remove completed jobs that ended so long ago; return how many."""
        gone = await self.queue.clean("completed", older_than=older_than_ms / 1000, limit=limit)
        return len(gone)

    async def clean_failed(self, older_than_ms: int = 2 * DAY_MS, limit: int = 1000) -> int:
        """Remove failed jobs that ended so long ago; return how many."""
        return len(await self.queue.clean("failed", older_than=older_than_ms / 1000, limit=limit))
