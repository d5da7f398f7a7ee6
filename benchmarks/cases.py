"""What a job does, carries and leaves behind, where that is not nothing."""

from __future__ import annotations

from typing import Literal

import msgspec


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of job."""

    name: str = ""
    """A word for people who wait."""
    wait_ms: float = 0.0
    """It awaits something for so long."""
    cpu_ms: float = 0.0
    """It computes for so long, in a process of its own."""
    payload_bytes: int = 0
    """It carries a text of so many."""
    told: Literal["all", "outcomes", "none"] = "all"
    """The events that its queue writes."""
    kept: bool = True
    """Whether it is kept once completed: the newest 10,000."""
    returns: bool = False
    """It has a small result."""
    logs: bool = False
    """It writes a line into its log."""
    progresses: bool = False
    """It reports progress, once."""
    limited: bool = False
    """Its queue has limits of concurrency and rate, which are never reached."""
    state: Literal["waiting", "delayed", "completed"] = "waiting"
    """In which it is weighed."""
