"""The answer to why a job is not running: reasons, each with a word, a sentence and its values.

Read next: `explain.py` (how facts become reasons).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from toril.engine.states import State


class ReasonKind(StrEnum):
    """Why a job does not run now, in a word."""

    MISSING = "missing"
    """The queue has no such job."""
    COMPLETED = "completed"
    """It has run."""
    FAILED = "failed"
    """It has failed for good, or was cancelled."""
    RUNNING = "running"
    """A worker holds it."""
    LEASE_ENDED = "lease-ended"
    """A worker holds it and has not renewed its lease in time."""
    CANCELLED = "cancelled"
    """It runs, and its worker was told to stop it."""
    LOST = "lost"
    """It is in no line. `toril doctor --repair` puts it back."""
    MOVING = "moving"
    """Its queue is paused while it moves to another store."""
    PAUSED = "paused"
    """Its queue is paused."""
    DELAYED = "delayed"
    """Its moment has not come."""
    DUE = "due"
    """Its moment has come; the next claim of a worker puts it in line."""
    CHILDREN = "children"
    """It waits for its children."""
    NO_WORKER = "no-worker"
    """No worker serves its queue."""
    FOREIGN_WORKERS = "foreign-workers"
    """Only workers of BullMQ serve its queue. They do not tell which names they know."""
    NO_TASK = "no-task"
    """Workers serve its queue, and none of them has a task of its name."""
    STOPPING = "stopping"
    """All workers that could run it take no more jobs."""
    WORKERS_PAUSED = "workers-paused"
    """All workers that could run it are paused: they take no jobs until they are told to resume."""
    HELD = "held"
    """A hold lets no job of its queue start for a while."""
    RATE = "rate"
    """The rate limit of its queue is used up."""
    CONCURRENCY = "concurrency"
    """As many jobs of its queue run as may at once."""
    BUSY = "busy"
    """All slots of the workers that could run it are in use."""
    WORKER_RATE = "worker-rate"
    """The workers of its queue have a rate limit of their own, and a window of it is open."""
    IN_LINE = "in-line"
    """Others are ahead of it, or it is the next."""
    WILL_FAIL = "will-fail"
    """The worker that takes it fails it without running it."""
    SCHEDULE = "schedule"
    """A schedule has made it."""
    PARENT = "parent"
    """It is the child of another job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason why a job is not running, or what there is to know of it."""

    kind: ReasonKind
    """Which reason. These words stay as they are."""
    sentence: str
    """What it means for this job, and what can be done."""
    values: Mapping[str, Any]
    """The figures and names in the sentence. Moments are aware; durations end in `_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a job is not running. As text it is its sentences, one a line."""

    queue: str
    job_id: str
    state: State | None
    """None: there is no such job."""
    reasons: list[Reason]
    """The most important first. There is always one."""

    def __str__(self) -> str:
        return "\n".join(reason.sentence for reason in self.reasons)


def reason(kind: ReasonKind, sentence: str, **values: Any) -> Reason:
    """Return a reason."""
    return Reason(kind=kind, sentence=sentence, values=values)
