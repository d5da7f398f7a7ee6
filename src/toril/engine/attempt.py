"""One attempt under way: what was claimed, by what it is run, and how it may be ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from toril.engine.context import Context, FollowUp
from toril.engine.contract.dispatch import Hold
from toril.engine.handler import Handler
from toril.engine.job import Claimed

StopKind = Literal["timeout", "cancelled", "lease_lost", "released"]


class Attempt:
    """One attempt under way."""

    __slots__ = (
        "claimed",
        "context",
        "deadline_s",
        "follow_ups",
        "handler",
        "hold",
        "interrupt",
        "nudges",
        "settled",
        "started_s",
        "stop_kind",
        "stop_reason",
        "task",
    )

    def __init__(self, claimed: Claimed, lease_ms: int) -> None:
        self.claimed = claimed
        self.hold = Hold(claimed.queue, claimed.number, claimed.token, lease_ms)
        self.handler: Handler | None = None
        self.context: Context | None = None
        self.started_s = time.monotonic()
        self.deadline_s: float | None = None
        self.task: asyncio.Task[None] | None = None
        self.stop_kind: StopKind | None = None
        self.stop_reason = ""
        self.settled = False
        """Its outcome is on its way, whatever its code still does."""
        self.nudges = 0
        """How often it was told to end."""
        self.interrupt: Callable[[], None] | None = None
        """Ends code that does not listen: raises in its thread, kills its process."""
        self.follow_ups: list[FollowUp] | None = None

    @property
    def label(self) -> str:
        """Return who this is, for log lines."""
        return f"{self.claimed.name} (job {self.claimed.id} of {self.claimed.queue})"

    def stop(self, kind: StopKind, reason: str) -> None:
        """Tell the attempt to end, and why. From the worker's loop. The first reason stays."""
        if self.stop_kind is None or (self.stop_kind == "released" and kind == "lease_lost"):
            self.stop_kind, self.stop_reason = kind, reason
        self.nudges += 1
        if self.context is not None:
            self.context.cancel(reason)
        if self.task is not None:
            self.task.cancel()
