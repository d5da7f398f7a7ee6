"""A job as a row of an outbox, and back. What stands in a row is untrusted: others may write it."""

from __future__ import annotations

import re
import uuid
from typing import NamedTuple

import msgspec

from toril.core.errors import InvalidOptionError, PayloadTooLargeError
from toril.engine.deduplication import DeduplicationRule
from toril.engine.job import NewJob
from toril.engine.new_jobs import checked

TABLE = "toril_outbox"
CHANNEL = TABLE
"""On which PostgreSQL tells that rows have been committed."""
MAX_JOB_BYTES = 64 * 2**20
"""Largest payload that a relay sends: a larger one breaks the connection to a Redis server."""

_ROW_ID = re.compile(r"[0-9a-f-]{8,64}")
_SAME = (
    "opts", "job_id", "delay_ms", "run_at_ms", "priority", "lifo", "timestamp_ms", "deduplication"
)  # fmt: skip


class Row(NamedTuple):
    """What a relay reads."""

    position: int
    """The order in which rows were written, over all queues."""
    row_id: str
    queue: str
    name: str
    data: str
    options: str


class _Options(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All of a job but its queue, name and data. The fields are those of `NewJob`."""

    opts: str = "{}"
    job_id: str | None = None
    delay_ms: int = 0
    run_at_ms: int | None = None
    priority: int = 0
    lifo: bool = False
    timestamp_ms: int | None = None
    deduplication: DeduplicationRule | None = None


def new_row(job: NewJob, now_ms: int) -> dict[str, str | int]:
    """Return the values of a row for a new job, by column.

    A delay counts from now on, not from when the relay adds the job.

    Raises:
        PayloadTooLargeError: It is larger than any relay sends.
    """
    if len(job.data) > MAX_JOB_BYTES // 4 and len(job.data.encode()) > MAX_JOB_BYTES:
        raise PayloadTooLargeError(job.name, "(payload)", _too_large(len(job.data.encode())))
    row_id = str(uuid.uuid4())
    options = _Options(**{name: getattr(job, name) for name in _SAME})
    options.job_id = job.job_id or job_id_of(row_id)
    if options.timestamp_ms is None:
        options.timestamp_ms = now_ms
    return {
        "row_id": row_id,
        "queue": job.queue,
        "name": job.name,
        "data": job.data,
        "options": msgspec.json.encode(options).decode(),
        "created_ms": now_ms,
    }


def job_id_of(row_id: str) -> str:
    """Return the id of a job whose caller has chosen none."""
    return f"outbox-{row_id}"


def job_of(row: Row) -> NewJob:
    """Return the job of a row.

    Raises:
        InvalidOptionError, InvalidPayloadError: No store may be given such a job; whoever wrote the
            row is no part of Toril, or the row was changed.
    """
    if not _ROW_ID.fullmatch(row.row_id):
        raise InvalidOptionError(f"row_id={row.row_id!r}: expected a UUID")
    if len(row.data.encode()) > MAX_JOB_BYTES:
        raise PayloadTooLargeError(row.name, "(payload)", _too_large(len(row.data.encode())))
    try:
        options = msgspec.json.decode(row.options, type=_Options)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidOptionError(f"options: not as an outbox writes them: {error}") from None
    same = {name: getattr(options, name) for name in _SAME}
    same["job_id"] = options.job_id or job_id_of(row.row_id)
    return checked(NewJob(queue=row.queue, name=row.name, data=row.data, **same))


def _too_large(size: int) -> str:
    return (
        f"{size} bytes; an outbox takes at most {MAX_JOB_BYTES}. Store large data elsewhere and"
        " pass its address"
    )
