"""What happened while an app was run in a test."""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.core.errors import JobFailedError
from toril.engine.hooks import HookEvent


@dataclass(slots=True)
class Ran:
    """What happened while an app was run until it was idle, in that order."""

    completed: list[HookEvent] = field(default_factory=list)
    """Jobs that completed: `task`, `job_id`, `result` (JSON text) and so on."""
    failed: list[HookEvent] = field(default_factory=list)
    """Jobs that failed for good: `reason`, and `error` as it was raised."""
    retried: list[HookEvent] = field(default_factory=list)
    """Attempts that failed and are followed by another."""
    _open: dict[tuple[str | None, str | None], HookEvent] = field(default_factory=dict, repr=False)

    @property
    def to_retry(self) -> list[HookEvent]:
        """Of `retried`, the last of each job whose next attempt has not run yet."""
        return list(self._open.values())

    def raise_errors(self) -> None:
        """Raise for the first job that failed, or that failed and waits for another attempt.

        A job that failed and completed in a later attempt counts as completed.

        Raises:
            JobFailedError: With what the task raised as its cause.
        """
        for event in self.failed:
            raise _error_of(event, "failed") from event.error
        for event in self.to_retry:
            raise _error_of(event, "failed and is to be tried again") from event.error

    def _add(self, event: HookEvent) -> None:
        """Take the next event."""
        job = (event.queue, event.job_id)
        if event.name == "retried":
            self.retried.append(event)
            self._open[job] = event
            return
        (self.completed if event.name == "completed" else self.failed).append(event)
        self._open.pop(job, None)


def _error_of(event: HookEvent, what: str) -> JobFailedError:
    return JobFailedError(
        f"{event.task} {what}: {event.reason}",
        job_id=event.job_id or "",
        queue=event.queue or "",
    )
