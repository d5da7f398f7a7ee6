"""What `deadletter.record` gives back, and other letters than ours."""

from __future__ import annotations

from typing import Any

import msgspec


class RecordedLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which job a letter is of."""

    original_queue: str
    original_job_id: str
    job_name: str
    failed_reason: str


class PublishedLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A letter that a program on Node wrote by itself: it has no options and no name of its job."""

    original_queue: str
    original_job_id: str
    original_data: Any
    error: str
    failed_at: str | None = None
    retry_count: int = 0


def published_letter(data: object) -> PublishedLetter | None:
    """Return a payload as such a letter; None if it is none.

    To bring its job back, add `original_data` to `original_queue` again.
    """
    try:
        return msgspec.convert(data, PublishedLetter)
    except msgspec.ValidationError:
        return None
