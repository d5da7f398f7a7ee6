"""Tells listeners of a worker's process how the work of a queue goes, under names of its own."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from toril.core.loggers import logger
from toril.services.notices.port import Notice, Notices, NoticeType
from toril.typed.processor_job import ProcessorJob

log = logger("toril.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """That an attempt has started, has done its work, or has failed."""

    name: str
    """Such as `mail.task.completed`; the last word is `started`, `completed` or `failed`."""
    task_id: str
    """The job's id."""
    task_type: str
    """What is done."""
    initiated_by: str
    """The user who asked for it."""
    timestamp: datetime
    """When it happened."""
    queue: str
    attempt: int
    """From 1."""
    key: str
    """The same in each attempt of the job, and of no other job."""
    error: str | None = None
    """Why it failed."""

    @property
    def data(self) -> dict[str, Any]:
        """What is said under the names of the wire."""
        return {
            "taskId": self.task_id,
            "taskType": self.task_type,
            "initiatedBy": self.initiated_by,
            "timestamp": self.timestamp.isoformat(),
        }


Listener = Callable[[TaskEvent], Awaitable[None] | None]
L = TypeVar("L", bound=Listener)


class TaskEvents:
    """Events of a queue's attempts: `TaskEvents("mail.task")`.

    A listener is called in the process that runs the attempt, before its outcome is stored; so an
    attempt that is run again is told of again. One that raises is logged, and changes nothing.
    """

    def __init__(self, prefix: str, *listeners: Listener) -> None:
        """Make events.

        Parameters:
            prefix: What comes before `.started`, `.completed` and `.failed` in their names.
            listeners: Called at each event.
        """
        self._prefix = prefix
        self._listeners = [*listeners]

    def on(self, listener: L) -> L:
        """Call a listener, too: `@events.on`."""
        self._listeners.append(listener)
        return listener

    @asynccontextmanager
    async def attempt(
        self, job: ProcessorJob[Any], task_type: str, *, by: str
    ) -> AsyncIterator[None]:
        """Tell of an attempt: `async with events.attempt(job, "send", by=job.data.user_id):`.

        Parameters:
            job: Which runs.
            task_type: What is done.
            by: The user who asked for it.
        """

        async def tell(word: str, error: str | None = None) -> None:
            await self._tell(
                TaskEvent(
                    name=f"{self._prefix}.{word}", task_id=job.id, task_type=task_type,
                    initiated_by=by, timestamp=datetime.now(UTC), queue=job.queue_name,
                    attempt=job.context.attempt, key=job.idempotency_key, error=error,
                )
            )  # fmt: skip

        await tell("started")
        try:
            yield
        except Exception as error:
            await tell("failed", str(error) or type(error).__name__)
            raise
        await tell("completed")

    async def _tell(self, event: TaskEvent) -> None:
        for listener in self._listeners:
            try:
                answer = listener(event)
                if inspect.isawaitable(answer):
                    await answer
            except Exception:
                log.exception("a listener of %s failed, job %s", event.name, event.task_id)


def noted_in(notices: Notices) -> Callable[[TaskEvent], Awaitable[None]]:
    """Return a listener that leaves the user a notice once an attempt has ended.

    A second one of the same job and the same end is not stored.
    """

    async def note(event: TaskEvent) -> None:
        word = event.name.rpartition(".")[2]
        if word == "started":
            return
        kind: NoticeType = "success" if word == "completed" else "error"
        await notices.add(
            Notice(
                id=hashlib.sha256(f"{event.key}:{word}".encode()).hexdigest()[:32],
                user_id=event.initiated_by,
                type=kind,
                title=event.name,
                body=event.error or f"{event.task_type}: completed",
                metadata=event.data,
            )
        )

    return note
