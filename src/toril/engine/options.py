"""What a caller may say about a job, a task's retries and what is kept. All checked when built."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Literal

from toril.core.checks import is_whole, require
from toril.core.durations import require_seconds
from toril.core.ids import check_job_id
from toril.core.reading import LARGEST
from toril.engine.deduplication import Deduplication
from toril.engine.retried_job import RetryWait

MAX_PRIORITY = 2_097_151
"""The largest priority that BullMQ's score can hold (spec, section 1.4)."""

MAX_COUNT = LARGEST
"""Largest count that an option takes: every JSON reader holds it exactly."""

MAX_TRACES = 50
"""Most stack traces that are kept of a job: as many as attempts."""

Backoff = Literal["fixed", "exponential"]
RunIn = Literal["loop", "thread", "process"]


class Priority(IntEnum):
    """Words for priorities. Lower runs first; a job without one runs before all of them."""

    URGENT = 1
    HIGH = 11
    NORMAL = 16
    LOW = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is tried again."""

    max_attempts: int = 5
    """Attempts in all, the first included. From 1."""
    backoff: Backoff = "exponential"
    """`fixed`: always `base_s`. `exponential`: `base_s`, then twice as long each time."""
    base_s: float = 1.0
    """Wait before the second attempt, in seconds. 0: at once."""
    cap_s: float = 3600.0
    """Longest wait between two attempts, in seconds."""
    jitter_ratio: float = 0.0
    """Share of the wait that is left to chance, 0 to 1: between (1 - ratio) × wait and the wait."""
    wait: RetryWait | None = None
    """Own rule in place of `backoff`: attempts made and the error, to seconds or None: give up. One
    that takes a third argument is told the job, too: a `RetriedJob`."""
    retry_on: tuple[type[BaseException], ...] | None = None
    """Only these exceptions are tried again. None: all."""
    give_up_on: tuple[type[BaseException], ...] = ()
    """These are never tried again; they win over `retry_on`."""

    def __post_init__(self) -> None:
        good = is_whole(self.max_attempts) and 1 <= self.max_attempts <= MAX_COUNT
        require(good, "max_attempts", self.max_attempts, f"an integer from 1 to {MAX_COUNT}")
        require(
            self.backoff in ("fixed", "exponential"),
            "backoff",
            self.backoff,
            "'fixed' or 'exponential'",
        )
        require_seconds(self.base_s, "base_s")
        require_seconds(self.cap_s, "cap_s")
        require(0 <= self.jitter_ratio <= 1, "jitter_ratio", self.jitter_ratio, "a share, 0 to 1")
        require(self.wait is None or callable(self.wait), "wait", self.wait, "a function or None")
        for name, kinds in (("retry_on", self.retry_on or ()), ("give_up_on", self.give_up_on)):
            good = isinstance(kinds, tuple) and all(
                isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds
            )
            require(good, name, kinds, "a tuple of exception classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepPolicy:
    """How many finished jobs are kept, and for how long. Both hold also while a queue is idle."""

    count: int | None = None
    """Keep at most so many, the newest. 0: none. None: no limit."""
    age_s: float | None = None
    """Keep them for so long after they finished, in seconds. None: no limit."""

    def __post_init__(self) -> None:
        good = self.count is None or (is_whole(self.count) and 0 <= self.count <= MAX_COUNT)
        require(good, "count", self.count, f"an integer from 0 to {MAX_COUNT}, or None")
        if self.age_s is not None:
            require_seconds(self.age_s, "age_s")


KEEP_COMPLETED = KeepPolicy(count=10_000, age_s=7 * 86_400.0)
KEEP_FAILED = KeepPolicy(count=100_000, age_s=90 * 86_400.0)
KEEP_NONE = KeepPolicy(count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """What a caller may say about one job."""

    job_id: str | None = None
    """An id of the caller's own. A second job with it is not added. None: the queue gives one."""
    deduplication: Deduplication | None = None
    """Add it only if no other job holds its de-duplication id. None: add it in any case."""
    delay_s: float = 0.0
    """Run no sooner than so many seconds from now."""
    run_at: datetime | None = None
    """Run no sooner than this moment (aware). Excludes `delay_s`."""
    priority: int = 0
    """1 to 2,097,151, lower first; `Priority` has words. 0: none, which runs before all others."""
    lifo: bool = False
    """Go to the front of the line in place of its end."""
    max_attempts: int | None = None
    """Attempts in all, the first included. None: the task's."""
    backoff: Backoff | None = None
    """How waits grow. None: the task's."""
    backoff_s: float | None = None
    """Wait before the second attempt, in seconds. None: the task's."""
    jitter_ratio: float | None = None
    """Share of each wait that is left to chance, 0 to 1. None: the task's."""
    keep_completed: KeepPolicy | None = None
    """What happens to it once completed. None: the task's."""
    keep_failed: KeepPolicy | None = None
    """What happens to it once failed. None: the task's."""
    keep_logs: int | None = None
    """Newest log lines kept. None: 1,000."""
    keep_traces: int | None = None
    """Newest stack traces kept of failed attempts, 0 to 50. None: 50. 0: none is stored."""
    max_payload_bytes: int | None = None
    """Largest payload as JSON; a larger one is refused. None: the task's, or 256 KiB."""
    trace: bool = True
    """Whether it goes on with the trace in which it is added. False: it begins its own."""

    def __post_init__(self) -> None:
        if self.job_id is not None:
            check_job_id(self.job_id)
        require(
            self.deduplication is None or isinstance(self.deduplication, Deduplication),
            "deduplication",
            self.deduplication,
            "a Deduplication, or None",
        )
        require_seconds(self.delay_s, "delay_s")
        if self.run_at is not None:
            require(not self.delay_s, "run_at", self.run_at, "either run_at or delay_s, not both")
            aware = isinstance(self.run_at, datetime) and self.run_at.utcoffset() is not None
            require(aware, "run_at", self.run_at, "an aware datetime (with a time zone)")
        check_priority(self.priority)
        require(
            self.max_attempts is None
            or (is_whole(self.max_attempts) and 1 <= self.max_attempts <= MAX_COUNT),
            "max_attempts",
            self.max_attempts,
            f"an integer from 1 to {MAX_COUNT}, or None",
        )
        require(
            self.backoff in (None, "fixed", "exponential"),
            "backoff",
            self.backoff,
            "'fixed', 'exponential' or None",
        )
        if self.backoff_s is not None:
            require_seconds(self.backoff_s, "backoff_s")
        require(
            self.jitter_ratio is None or 0 <= self.jitter_ratio <= 1,
            "jitter_ratio",
            self.jitter_ratio,
            "a share, 0 to 1, or None",
        )
        require(
            self.keep_logs is None
            or (is_whole(self.keep_logs) and 0 <= self.keep_logs <= MAX_COUNT),
            "keep_logs",
            self.keep_logs,
            f"an integer from 0 to {MAX_COUNT}, or None",
        )
        require(
            self.keep_traces is None
            or (is_whole(self.keep_traces) and 0 <= self.keep_traces <= MAX_TRACES),
            "keep_traces",
            self.keep_traces,
            f"an integer from 0 to {MAX_TRACES}, or None",
        )
        require(
            self.max_payload_bytes is None
            or (is_whole(self.max_payload_bytes) and 1 <= self.max_payload_bytes <= MAX_COUNT),
            "max_payload_bytes",
            self.max_payload_bytes,
            "an integer from 1, or None",
        )
        require(isinstance(self.trace, bool), "trace", self.trace, "True or False")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most `limit` starts in each window of `window_s` seconds, counted over all workers."""

    limit: int
    """Starts in a window. From 1."""
    window_s: float = field(default=1.0)
    """How long a window is, in seconds. From 0.001."""

    def __post_init__(self) -> None:
        good = is_whole(self.limit) and 1 <= self.limit <= MAX_COUNT
        require(good, "limit", self.limit, "an integer from 1")
        require_seconds(self.window_s, "window_s")
        # The store counts in milliseconds: a shorter window would be none.
        require(self.window_s >= 0.001, "window_s", self.window_s, "seconds, from 0.001")


def check_priority(priority: int) -> int:
    """Return `priority` if it is one.

    Raises:
        InvalidOptionError: Unless it is an integer from 0 to `MAX_PRIORITY`.
    """
    require(
        is_whole(priority) and 0 <= priority <= MAX_PRIORITY,
        "priority",
        priority,
        f"an integer from 0 to {MAX_PRIORITY}",
    )
    return priority
