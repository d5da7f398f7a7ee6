"""A dead letter as people and programs see it, and which letters are meant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from toril.core.clock import moment
from toril.core.reading import read
from toril.engine.info import AttemptInfo
from toril.engine.job import JobRecord
from toril.engine.letters import Letter
from toril.engine.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterInfo:
    """A dead letter as it was when it was looked at."""

    id: str
    queue: str
    """The dead-letter queue."""
    state: State
    """What became of the letter itself: it is a job that a worker may take."""
    original_queue: str
    original_job_id: str
    task: str
    """The name of the job."""
    data: Any
    """The payload of the job, decoded. A `RawText` where it cannot be."""
    options: Any
    """Its stored options, in BullMQ's words."""
    failed_reason: str
    attempts_made: int
    """Attempts that count."""
    failed_at: datetime
    """When it failed for good."""
    redriven_at: datetime | None
    """When it was brought back. None: it was not."""
    stacktrace: list[str]
    """One for each attempt that left one, oldest first."""
    attempts: list[AttemptInfo]
    """Each attempt, oldest first; stack traces stand in `stacktrace`."""


class LetterPage(NamedTuple):
    """Some letters of a listing."""

    letters: list[LetterInfo]
    next: str | None
    """Give it as `after` for the next page. None: this was the last."""


class LetterFilter(msgspec.Struct, frozen=True):
    """Which letters are meant. What is None does not matter."""

    queue: str | None = None
    """The queue that the job was in."""
    task: str | None = None
    """The name of the job."""
    error: str | None = None
    """A part of the reason, in any case of letters."""
    redriven: bool | None = None
    """Whether the job was brought back."""

    def meets(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            self.queue in (None, letter.original_queue)
            and self.task in (None, letter.job_name)
            and (self.error is None or self.error.lower() in letter.failed_reason.lower())
            and self.redriven in (None, letter.redriven_at is not None)
        )


def letter_info(record: JobRecord, letter: Letter) -> LetterInfo:
    """Return a stored letter as Python values."""
    return LetterInfo(
        id=record.id,
        queue=record.queue,
        state=record.state,
        original_queue=letter.original_queue,
        original_job_id=letter.original_job_id,
        task=letter.job_name,
        data=read(bytes(letter.data).decode()),
        options=read(bytes(letter.opts).decode()),
        failed_reason=letter.failed_reason,
        attempts_made=letter.attempts_made,
        failed_at=_at(letter.failed_at) or moment(record.timestamp_ms),
        redriven_at=None if letter.redriven_at is None else _at(letter.redriven_at),
        stacktrace=letter.stacktrace,
        attempts=[
            AttemptInfo(
                number=attempt.number,
                started_at=moment(attempt.started_ms),
                ended_at=moment(attempt.ended_ms),
                worker_id=attempt.worker_id,
                outcome=attempt.outcome,
                error=attempt.error,
                traceback=attempt.traceback,
            )
            for attempt in letter.history
        ],
    )


def _at(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
