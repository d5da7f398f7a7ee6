"""Dead letters as a task: `app.bind("dead-letter", record, adapter=FORMS, rename="camel")`.

The letter stays, completed, and can be redriven: the task only says that it is there. One that
fails stays in `failed` of its queue and leaves no letter of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from toril.engine.options import KeepPolicy, RetryPolicy
from toril.library.deadletter.payloads import RecordedLetter
from toril.tasks.bundle import TaskBundle
from toril.tasks.task import Task

log = logging.getLogger("toril.dead_letters")
REASON_CHARS = 500
"""Of a reason, in the log."""
Name = Annotated[str, msgspec.Meta(max_length=1000)]

dead_letters = TaskBundle()
"""`deadletter.record` on the queue `dead-letter`, for letters of any name."""


@dead_letters.task(
    name="deadletter.record",
    queue="dead-letter",
    any_name=True,
    rename="camel",
    timeout=60.0,
    retry=RetryPolicy(max_attempts=3, base_s=5.0),
    keep_completed=KeepPolicy(count=1000),
    keep_failed=KeepPolicy(count=1000),
)
async def record(
    original_queue: Name,
    original_job_id: Name,
    job_name: Name,
    data: Any,
    failed_reason: str,
    attempts_made: int = 0,
    failed_at: str | None = None,
    stacktrace: list[str] | None = None,
    opts: dict[str, Any] | None = None,
    timestamp_ms: int = 0,
    priority: int = 0,
    history: list[Any] | None = None,
    redriven_at: str | None = None,
) -> RecordedLetter:
    """Write a line of a letter into the log, for review. The payload of its job is not in it.

    Parameters:
        original_queue: Where the job failed.
        original_job_id: Its id there.
        job_name: Its name.
        data: Its payload.
        failed_reason: Why it failed.
        attempts_made: After how many attempts.
        failed_at: When, in ISO 8601.
        stacktrace: One for each attempt that left one.
        opts: Its options.
        timestamp_ms: When it was added.
        priority: Its urgency.
        history: Its attempts.
        redriven_at: When it was brought back.
    """
    del data, stacktrace, opts, timestamp_ms, priority, history, redriven_at
    line = {
        "event": "dead_letter",
        "queue": original_queue,
        "jobId": original_job_id,
        "task": job_name,
        "attempts": attempts_made,
        "failedAt": failed_at,
        "error": failed_reason[:REASON_CHARS],
    }
    log.error("%s", json.dumps(line, ensure_ascii=False))
    return RecordedLetter(
        original_queue=original_queue,
        original_job_id=original_job_id,
        job_name=job_name,
        failed_reason=failed_reason[:REASON_CHARS],
    )


def from_published(
    original_queue: str,
    original_job_id: str,
    original_data: Any,
    error: str,
    failed_at: str | None = None,
    retry_count: int = 0,
) -> dict[str, Any]:
    """Return the arguments of `deadletter.record` for a letter that a program on Node wrote.

    Parameters:
        original_queue: Where the job failed.
        original_job_id: Its id there.
        original_data: Its payload.
        error: Why it failed.
        failed_at: When.
        retry_count: After how many attempts.
    """
    return {
        "original_queue": original_queue,
        "original_job_id": original_job_id,
        "job_name": "",
        "data": original_data,
        "failed_reason": error,
        "attempts_made": retry_count,
        "failed_at": failed_at,
    }


FORMS: list[Callable[..., Any] | Task[Any, Any]] = [record, from_published]
"""Both forms of letters, for `bind`."""
