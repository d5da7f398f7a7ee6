"""Tells hooks of dead letters, once they are stored."""

from __future__ import annotations

from toril.engine.hooks import Hooks
from toril.engine.job import Finished, JobRecord, NewJob


class LetterHooks:
    """The hook `dead` of one worker."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def stored(self, letter: NewJob, outcome: Finished) -> None:
        """Tell of the letter of a failure of this worker."""
        self._tell(letter, outcome.queue, outcome.job_id, outcome.attempts_made, outcome.reason)

    def added(self, letter: NewJob, job: JobRecord) -> None:
        """Tell of a letter that this worker has added for a failure of another client."""
        self._tell(letter, job.queue, job.id, job.attempts_made, job.failed_reason)

    def _tell(
        self, letter: NewJob, queue: str, job_id: str, attempt: int, reason: str | None
    ) -> None:
        self._hooks.tell(
            "dead",
            queue=queue,
            job_id=job_id,
            task=letter.name,
            attempt=attempt,
            reason=reason,
            letter_queue=letter.queue,
            letter_id=letter.job_id,
        )
