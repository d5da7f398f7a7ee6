"""One attempt under way: what was claimed, by what it is run, and how it may be ended."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from toril.core.loggers import logger
from toril.engine.context import Context, StopKind
from toril.engine.contract.dispatch import HeldJob
from toril.engine.follow_ups import FollowUps
from toril.engine.handler import Handler
from toril.engine.job import Claimed
from toril.engine.tracing import TraceIds

log = logger("toril.worker")


class Attempt:
    """One attempt under way."""

    __slots__ = (
        "_hold",
        "_lease_ms",
        "begun",
        "claimed",
        "context",
        "deadline_s",
        "error",
        "follow_ups",
        "handler",
        "nudged_s",
        "nudges",
        "settled",
        "started_s",
        "stop_kind",
        "stop_reason",
        "task",
        "trace_ids",
    )

    trace_ids: TraceIds
    """Of its span. Not set, and so at no cost, unless the app traces."""

    def __init__(self, claimed: Claimed, lease_ms: int) -> None:
        self.claimed = claimed
        self._lease_ms = lease_ms
        self._hold: HeldJob | None = None
        self.handler: Handler | None = None
        self.context: Context | None = None
        self.started_s = time.monotonic()
        self.deadline_s: float | None = None
        self.task: asyncio.Task[None] | None = None
        self.begun = False
        """Its first line has run. A task that is cancelled sooner never gets to its outcome."""
        self.stop_kind: StopKind | None = None
        self.stop_reason = ""
        self.settled = False
        """Its outcome is on its way, whatever its code still does."""
        self.nudges = 0
        """How often it was told to end, and when last."""
        self.nudged_s = 0.0
        self.follow_ups: FollowUps | None = None
        """What its task wants added. There with the context, by which it asks."""
        self.error: BaseException | None = None
        """What it raised."""

    @property
    def hold(self) -> HeldJob:
        """Return what is renewed for it. Made when first asked for: most attempts end before."""
        if self._hold is None:
            claimed = self.claimed
            self._hold = HeldJob(
                claimed.queue,
                claimed.number,
                claimed.token,
                self._lease_ms,
                claimed.attempts_started,
            )
        return self._hold

    @property
    def label(self) -> str:
        """Return who this is, for log lines."""
        return f"{self.claimed.name} (job {self.claimed.id} of {self.claimed.queue})"

    def names(self) -> dict[str, Any]:
        """Return who this is, for hooks."""
        claimed = self.claimed
        return {
            "queue": claimed.queue,
            "job_id": claimed.id,
            "task": claimed.name,
            "attempt": claimed.attempts_made + 1,
        }

    def trace(self) -> dict[str, str]:
        """Return the ids of its span, for log lines; nothing if it has none."""
        ids: TraceIds | None = getattr(self, "trace_ids", None)
        return {} if ids is None else ids._asdict()

    def stop(self, kind: StopKind, reason: str) -> None:
        """Tell the attempt to end, and why. From the worker's loop. The first reason stays."""
        if self.stop_kind is None:
            self.stop_kind, self.stop_reason = kind, reason
        self.nudge()

    def nudge(self) -> None:
        """Tell it once more."""
        self.nudges += 1
        self.nudged_s = time.monotonic()
        if self.context is not None:
            self.context.cancel(self.stop_reason, self.stop_kind)
        if self.task is not None and self.begun:
            try:
                self.task.cancel(self.stop_reason)  # the message of its `CancelledError`
            except BaseException:  # a future of the task's own that cannot be cancelled
                log.exception("%s could not be told to end", self.label)
