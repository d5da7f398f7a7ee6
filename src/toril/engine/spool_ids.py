"""Ids of jobs that were added while Redis was away: never numbers, as Redis numbers its own."""

from __future__ import annotations

import secrets

from toril.engine.repeats import CallId

MARK = "f-"
"""With what they begin."""


def new_book() -> str:
    """Return the name of a new book of calls."""
    return secrets.token_hex(6)


def spool_id(call: CallId, index: int) -> str:
    """Return the id of one job of a call."""
    return f"{MARK}{call.book}-{call.number}-{index}"


def is_spool_id(job_id: str) -> bool:
    """Return whether an id may be one of these. Others may begin in the same way."""
    return job_id.startswith(MARK)
