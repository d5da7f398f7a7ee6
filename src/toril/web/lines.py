"""Turns the app's records into what the interface answers: cut texts, previews for payloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from toril.core.clock import moment
from toril.core.codec import encode_text
from toril.core.reading import RawText
from toril.engine.events import EventRecord
from toril.engine.info import JobInfo
from toril.engine.letter_info import LetterInfo
from toril.rest.answers import Event, JobFacts, JobLine, LetterLine, Value, WorkerFacts

PREVIEW_CHARS = 120
REASON_CHARS = 300
SILENT_S = 7.5
"""Three heartbeats missed."""


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
        info: The job as its caller sees it.
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
        progress=preview(info.progress) if info.progress not in (0, None) else None,
        failed_reason=None if reason is None else cut(reason, REASON_CHARS),
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
        progress=info.progress,
        failed_reason=info.failed_reason,
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


def event_of(queue: str, event: EventRecord) -> Event:
    """Return an event, as its caller sees it, with its texts cut."""
    return Event(
        queue=queue,
        position=event.position,
        at=moment(event.at_ms),
        name=event.name,
        job_id=event.job_id,
        fields={
            name: cut(value, REASON_CHARS) if isinstance(value, str) else value
            for name, value in event.fields.items()
            if name != "jobId"
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
        failed_reason=cut(info.failed_reason, REASON_CHARS),
        attempts_made=info.attempts_made,
        failed_at=info.failed_at,
        redriven_at=info.redriven_at,
        data_preview=preview(info.data) if payloads else None,
    )


def worker_of(facts: Mapping[str, Any]) -> WorkerFacts:
    """Return a worker, as its caller sees it, and how it does."""
    state: Literal["working", "paused", "quiet", "silent"] = "working"
    if facts["quiet"]:
        state = "quiet"
    elif facts["paused"]:
        state = "paused"
    if facts["beat_age_s"] > SILENT_S:
        state = "silent"
    return WorkerFacts(state=state, **facts)
