"""A job as a processor sees it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from toril.core.codec import Json
from toril.engine.context import Context

P = TypeVar("P")


class ProcessorJob(Generic[P]):
    """A job that runs. All that a task can do is in `context`."""

    __slots__ = ("context", "data")

    def __init__(self, context: Context, data: P) -> None:
        self.context = context
        """Of this attempt: progress, log lines, follow-ups, deadlines."""
        self.data = data
        """What it carries."""

    @property
    def id(self) -> str:
        """Its id."""
        return self.context.job_id

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self.context.task

    @property
    def queue_name(self) -> str:
        """Its queue."""
        return self.context.queue

    @property
    def attempts_made(self) -> int:
        """Attempts before this one."""
        return self.context.attempt - 1

    @property
    def idempotency_key(self) -> str:
        """The same in each attempt of this job, and of no other job."""
        return self.context.idempotency_key

    def update_progress(self, value: Json) -> None:
        """Say how far it is: a number, or any JSON."""
        self.context.progress(value)

    def log(self, line: str) -> None:
        """Add a line to the job's log."""
        self.context.log(line)

    async def children_values(self) -> dict[str, Any]:
        """Return the results of its children in a flow, by `queue:id`."""
        return await self.context.children_results()
