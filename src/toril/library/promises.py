"""What a ready-made task promises beyond its options: what it does, and why twice is harmless.

Each family has a `promises.py` with a `Promise` for each of its tasks; `catalogue.py` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What holds for each job of one task. Each text is a sentence's part, in Markdown."""

    idempotency_key: str
    """By what a second run recognizes the first."""
    second_run: str
    """What a second run of the same job does."""
    side_effects: str
    """What changes outside of the queue."""
    services: str
    """What has to be there: services of `toril.services`."""
    progress: str
    """What the percentage means. `none`: nothing is reported."""
    cancelling: str
    """Where a run can be stopped, and what is left then."""
    memory: str = ""
    """What limits a run's memory. Empty: nothing but the process's own limit."""
    payload_version: int = 1
    """Grows when a payload that was good is refused, or means another thing."""
