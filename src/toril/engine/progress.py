"""Progress of a job as a store takes it, whoever reports it."""

from __future__ import annotations

from toril.core.codec import Json, encode_text

MAX_PROGRESS_BYTES = 64 * 1024
"""Largest report of progress, as JSON."""


def progress_text(value: Json) -> str:
    """Return a report of progress as JSON text.

    Raises:
        TypeError, ValueError: It is not JSON, or over 64 KiB of it.
    """
    text = encode_text(value)
    if len(text) > MAX_PROGRESS_BYTES // 4 and len(text.encode()) > MAX_PROGRESS_BYTES:
        raise ValueError(f"progress: {len(text)} characters of JSON; at most 64 KiB")
    return text
