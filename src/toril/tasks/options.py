"""The options that a task declares once, for all its jobs."""

from __future__ import annotations

from dataclasses import dataclass, field

from toril.core.checks import require
from toril.core.ids import check_queue_name
from toril.engine.options import KEEP_COMPLETED, KEEP_FAILED, KeepPolicy, RetryPolicy, RunIn
from toril.engine.profiles import Profile
from toril.tasks.signature import Rename


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a task says of itself."""

    name: str
    """Its name on the wire. Default: the function's name."""
    queue: str = "default"
    """Where its jobs wait."""
    run_in: RunIn = "thread"
    """`loop` (async functions), `thread`, or `process`: killable, for CPU-bound work. Default:
    `loop` for async functions, else `thread`."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    """When a failed attempt is tried again. Default: 5 attempts, see `RetryPolicy`."""
    timeout_s: float | None = 3600.0
    """Longest attempt, in seconds. None: no limit."""
    keep_completed: KeepPolicy = KEEP_COMPLETED
    """What is kept of completed jobs. Default: the newest 10,000, for 7 days."""
    keep_failed: KeepPolicy = KEEP_FAILED
    """What is kept of failed jobs. Default: the newest 100,000, for 90 days."""
    dead_letter: str | None = None
    """The queue in which jobs that fail for good leave letters. None: the rule of their own queue
    counts, if it has one."""
    max_payload_bytes: int = 256 * 1024
    """Largest payload as JSON. Store larger things elsewhere and pass their address."""
    max_result_bytes: int = 64 * 1024
    """Largest result as JSON."""
    profile: Profile | None = None
    """Which workers take it: those with this profile, and those without one."""
    rename: Rename = None
    """`camel`: parameters are camelCase on the wire."""
    sealed: tuple[str, ...] = ()
    """Fields of the payload that only the task can read; `card`, or `card.number`."""
    any_name: bool = False
    """Take the jobs of its queue that have a name of no task, too."""

    def __post_init__(self) -> None:
        good = isinstance(self.name, str) and self.name != "" and self.name.isprintable()
        require(good, "name", self.name, "printable characters, at least one")
        check_queue_name(self.queue)
        require(
            self.run_in in ("loop", "thread", "process"),
            "run_in",
            self.run_in,
            "'loop', 'thread' or 'process'",
        )
        require(
            self.timeout_s is None or self.timeout_s > 0,
            "timeout_s",
            self.timeout_s,
            "seconds, above 0, or None",
        )
        require(
            self.max_payload_bytes >= 1,
            "max_payload_bytes",
            self.max_payload_bytes,
            "bytes, from 1",
        )
        require(
            self.max_result_bytes >= 1, "max_result_bytes", self.max_result_bytes, "bytes, from 1"
        )
        if self.dead_letter is not None:
            check_queue_name(self.dead_letter)
            require(
                self.dead_letter != self.queue, "dead_letter", self.dead_letter, "another queue"
            )
        require(isinstance(self.retry, RetryPolicy), "retry", self.retry, "a RetryPolicy")
        require(self.rename in (None, "camel"), "rename", self.rename, "'camel' or None")
