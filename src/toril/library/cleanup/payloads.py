"""What cleaning jobs carry and give back, under their producers' camelCase names."""

from __future__ import annotations

from typing import Literal

import msgspec

Target = Literal["temp_files", "old_logs", "expired_sessions"]
"""What `run-cleanup` removes."""
CleanedState = Literal["completed", "failed"]
"""Which jobs `clean-jobs` removes."""


class CleanupResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `run-cleanup` returns."""

    removed: int
    """Files or sessions. In a dry run: that would be removed."""
    freed_bytes: int
    """Of the files. 0 for sessions."""
    skipped: int
    """Old files that stay."""
    reasons: dict[str, int] = {}
    """How many stay, by the reason: `a link`, `in use`, `no permission`, `no regular file`."""
    dry_run: bool = False


class JobsCleaned(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `clean-jobs` returns."""

    removed: dict[str, int]
    """How many jobs, by the queue."""
    more: list[str]
    """Queues in which the limit was reached: more of their jobs may be as old."""
