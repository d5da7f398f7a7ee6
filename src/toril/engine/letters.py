"""Dead letters: the record that a job which failed for good leaves in another queue.

A letter is an ordinary job of its dead-letter queue: any worker can take it, Node's too. Its
payload says why the job failed and holds all that brings it back. This module is pure: it makes
letters, reads them, and makes jobs of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from toril.core.clock import moment
from toril.core.codec import decode, encode_text
from toril.core.nesting import is_too_deep
from toril.core.reading import read_object, whole
from toril.engine.job import Attempt, JobRecord, NewJob, WholeJob
from toril.engine.states import State
from toril.engine.texts import end

PREFIX = "dead~"
"""Ids of letters begin so. A job with such an id is a letter, and its failure writes none."""
MAX_TRACES_BYTES = 256 * 1024
"""Largest total of the stack traces in a letter. The newest are kept."""
MIN_TRACE_BYTES = 1024
"""With less room than this, a further trace is left out."""
_RESERVED = str.maketrans({"%": "%25", "~": "%7E", ":": "%3A"})
_MAX_PART_CHARS = 200
"""Longest part of an id that is the queue's name or the job's id. Of a longer one, its beginning
and a digest."""


class Letter(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """The payload of a letter. Field names on the wire are camelCase."""

    original_queue: str
    original_job_id: str
    job_name: str
    data: msgspec.Raw
    """The payload of the job, as it was stored. A text where that was no JSON."""
    opts: msgspec.Raw
    """Its stored options, in BullMQ's words."""
    failed_reason: str
    stacktrace: list[str]
    """One for each attempt that left one, oldest first."""
    attempts_made: int
    """Attempts that count."""
    failed_at: str
    """When it failed for good: ISO 8601, UTC."""
    timestamp_ms: int = 0
    """When the job was added, epoch milliseconds."""
    priority: int = 0
    history: list[Attempt] = []
    """Each attempt that has ended, oldest first, without its stack trace."""
    redriven_at: str | None = None
    """When the job was brought back. None: it was not."""


def letter_id(queue: str, job_id: str, processed_on_ms: int) -> str:
    """Return the id of the letter for one failure: the same whoever writes it.

    Parameters:
        queue: The queue of the job.
        job_id: Its id.
        processed_on_ms: When its last attempt began, which no other attempt of the job has.
    """
    return f"{PREFIX}{_part(queue)}~{_part(job_id)}~{processed_on_ms}"


def _part(name: str) -> str:
    """Return a name as a part of an id: short, and without characters that separate parts."""
    part = name.translate(_RESERVED)
    if len(part) <= _MAX_PART_CHARS:
        return part
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{part[: _MAX_PART_CHARS - 17]}%{digest}"


def is_letter(job_id: str) -> bool:
    """Return whether a job of this id is a letter."""
    return job_id.startswith(PREFIX)


def letter_job(record: JobRecord, to: str) -> NewJob:
    """Return the letter of a failed job, ready to add to the dead-letter queue `to`.

    Parameters:
        record: The job as it is once it has failed; see `as_failed`.
        to: The name of the dead-letter queue.
    """
    traces: list[str] = []
    left = MAX_TRACES_BYTES
    for attempt in reversed(record.attempts):
        if attempt.traceback and left >= MIN_TRACE_BYTES:
            traces.insert(0, end(attempt.traceback, left))
            left -= len(traces[0].encode())
    letter = Letter(
        original_queue=record.queue,
        original_job_id=record.id,
        job_name=record.name,
        data=_raw(record.data),
        opts=_raw(record.opts),
        failed_reason=record.failed_reason or "",
        stacktrace=traces,
        attempts_made=record.attempts_made,
        failed_at=iso(moment(record.finished_on_ms or 0)),
        timestamp_ms=record.timestamp_ms,
        priority=record.priority,
        history=[msgspec.structs.replace(attempt, traceback=None) for attempt in record.attempts],
    )
    return NewJob(
        queue=to,
        name=record.name,
        data=_text(letter),
        job_id=letter_id(record.queue, record.id, record.processed_on_ms or 0),
    )


def as_failed(record: JobRecord, last: Attempt, *, attempts_made: int) -> JobRecord:
    """Return the record that a running job will have once its failure is stored.

    Parameters:
        record: The job while the worker still holds it.
        last: The attempt that has failed.
        attempts_made: Attempts that count, this one included.
    """
    return msgspec.structs.replace(
        record,
        state=State.FAILED,
        failed_reason=last.error,
        attempts_made=attempts_made,
        processed_on_ms=last.started_ms,
        finished_on_ms=last.ended_ms,
        attempts=[*record.attempts, last],
    )


def read_letter(data: str) -> Letter | None:
    """Return the letter that a stored payload is; None if it is none of ours."""
    try:
        return msgspec.json.decode(data, type=Letter)
    except (ValueError, RecursionError):
        return None


def marked(letter: Letter, at: datetime) -> str:
    """Return the payload of a letter whose job was brought back at a moment."""
    return _text(msgspec.structs.replace(letter, redriven_at=iso(at)))


def job_again(letter: Letter, now_ms: int) -> WholeJob:
    """Return the job of a letter as it goes back in line, for when the original is gone.

    It has its own id, options and history; its attempts are counted from 0. It belongs to no parent
    any more: that one was told of the failure.
    """
    opts = read_object(bytes(letter.opts).decode())
    opts.pop("parent", None)
    priority = letter.priority or whole(opts.get("priority"))
    return WholeJob(
        JobRecord(
            id=letter.original_job_id,
            queue=letter.original_queue,
            name=letter.job_name,
            state=State.PRIORITIZED if priority else State.WAIT,
            data=bytes(letter.data).decode(),
            opts=encode_text(opts),
            priority=priority,
            timestamp_ms=letter.timestamp_ms or now_ms,
            delay_ms=0,
            run_at_ms=None,
            attempts_made=0,
            attempts_started=0,
            stalled=0,
            progress="0",
            result=None,
            failed_reason=None,
            processed_on_ms=None,
            finished_on_ms=None,
            worker_id=None,
            lease_remaining_ms=None,
            deferred_failure=None,
            cancel_reason=None,
            attempts=_with_traces(letter.history, letter.stacktrace),
            data_bytes=len(bytes(letter.data)),
        ),
        log=[],
    )


def iso(at: datetime) -> str:
    """Return a moment as JavaScript writes it: ISO 8601 in UTC, milliseconds, `Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_traces(history: Sequence[Attempt], traces: Sequence[str]) -> list[Attempt]:
    """Return attempts with their stack traces: the newest traces belong to the newest failures."""
    attempts = list(history)
    left = list(traces)
    for index in range(len(attempts) - 1, -1, -1):
        if left and attempts[index].outcome in ("failed", "retried"):
            attempts[index] = msgspec.structs.replace(attempts[index], traceback=left.pop())
    return attempts


def _raw(text: str) -> msgspec.Raw:
    """Return a stored text as a letter holds it: as it is if it is JSON, else as a JSON string."""
    encoded = text.encode("utf-8", "replace")
    try:
        if not is_too_deep(b"[%b]" % encoded):  # one level more: it lies in the letter
            decode(encoded)
            return msgspec.Raw(encoded)
    except (ValueError, RecursionError):
        pass
    return msgspec.Raw(msgspec.json.encode(text))


def _text(letter: Letter) -> str:
    return msgspec.json.encode(letter).decode()
