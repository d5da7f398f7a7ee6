"""Turns the app's records into what the interface answers: cut texts, previews for payloads."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from toril.core.clock import moment
from toril.core.codec import encode_text
from toril.core.reading import RawText
from toril.engine.events import EventRecord
from toril.engine.info import JobInfo, WorkerInfo
from toril.engine.letter_info import LetterInfo
from toril.rest.answers import Event, JobFacts, JobLine, LetterLine, Value, WorkerFacts

PREVIEW_CHARS = 120
REASON_CHARS = 300
SILENT_S = 7.5
"""Three heartbeats missed."""

_CARRIES = ("returnvalue", "data", "failedReason")
"""Fields of events that hold what a job carries."""


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, with a mark if it goes on."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def json_text(value: object) -> str:
    """Return a stored value as JSON; one that is none, as it is."""
    return value.raw if isinstance(value, RawText) else encode_text(value)


def preview(value: object) -> str:
    """Return the beginning of a stored value."""
    return cut(json_text(value), PREVIEW_CHARS)


def job_line(info: JobInfo, *, payloads: bool) -> JobLine:
    """Return a job as a line of a list.

    Parameters:
        info: The job.
        payloads: Whether the caller may see what it carries.
    """
    reason = info.failed_reason
    return JobLine(
        id=info.id,
        queue=info.queue,
        name=info.name,
        state=info.state,
        priority=info.priority,
        created_at=info.created_at,
        run_at=info.run_at,
        processed_at=info.processed_at,
        finished_at=info.finished_at,
        delay_s=info.delay_s,
        attempts_made=info.attempts_made,
        attempts_started=info.attempts_started,
        max_attempts=info.max_attempts,
        stalled=info.stalled,
        worker_id=info.worker_id,
        lease_remaining_s=info.lease_remaining_s,
        progress=preview(info.progress) if payloads and info.progress not in (0, None) else None,
        failed_reason=cut(reason, REASON_CHARS) if payloads and reason is not None else None,
        cancel_reason=info.cancel_reason,
        parent_queue=info.parent_queue,
        parent_id=info.parent_id,
        deduplication_id=info.deduplication_id,
        options=info.options,
        data_bytes=info.data_bytes,
        data_preview=preview(info.data) if payloads else None,
        result_preview=preview(info.result) if payloads and info.result is not None else None,
    )


def job_facts(info: JobInfo, *, payloads: bool) -> JobFacts:
    """Return one job; parameters as `job_line`."""
    return JobFacts(
        id=info.id,
        queue=info.queue,
        name=info.name,
        state=info.state,
        priority=info.priority,
        created_at=info.created_at,
        delay_s=info.delay_s,
        run_at=info.run_at,
        processed_at=info.processed_at,
        finished_at=info.finished_at,
        attempts_made=info.attempts_made,
        attempts_started=info.attempts_started,
        max_attempts=info.max_attempts,
        stalled=info.stalled,
        worker_id=info.worker_id,
        lease_remaining_s=info.lease_remaining_s,
        progress=info.progress if payloads else None,
        failed_reason=info.failed_reason if payloads else None,
        cancel_reason=info.cancel_reason,
        parent_queue=info.parent_queue,
        parent_id=info.parent_id,
        deduplication_id=info.deduplication_id,
        options=info.options,
        data_bytes=info.data_bytes,
        data_preview=preview(info.data) if payloads else None,
        result_preview=preview(info.result) if payloads and info.result is not None else None,
    )


def value_of(value: Any) -> Value:
    """Return a payload or a result."""
    if isinstance(value, RawText):
        return Value(value=None, text=value.raw, bytes=len(value.raw.encode("utf-8", "replace")))
    return Value(value=value, bytes=len(msgspec.json.encode(value)))


def event_of(queue: str, event: EventRecord, *, payloads: bool) -> Event:
    """Return an event, its texts cut, and without what the job carries if that may not be seen."""
    return Event(
        queue=queue,
        position=event.position,
        at=moment(event.at_ms),
        name=event.name,
        job_id=event.job_id,
        fields={
            name: cut(value, REASON_CHARS) if isinstance(value, str) else value
            for name, value in event.fields.items()
            if name != "jobId" and (payloads or name not in _CARRIES)
        },
    )


def letter_line(info: LetterInfo, *, payloads: bool) -> LetterLine:
    """Return a letter as a line of a list; `payloads` as in `job_line`."""
    return LetterLine(
        id=info.id,
        letters=info.queue,
        original_queue=info.original_queue,
        original_job_id=info.original_job_id,
        task=info.task,
        failed_reason=cut(info.failed_reason, REASON_CHARS) if payloads else None,
        attempts_made=info.attempts_made,
        failed_at=info.failed_at,
        redriven_at=info.redriven_at,
        data_preview=preview(info.data) if payloads else None,
    )


def worker_of(info: WorkerInfo) -> WorkerFacts:
    """Return a worker and how it does."""
    state: Literal["working", "quiet", "silent"] = "quiet" if info.quiet else "working"
    if info.beat_age_s > SILENT_S:
        state = "silent"
    return WorkerFacts(worker=info, state=state)
