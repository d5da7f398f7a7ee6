"""Options of jobs in BullMQ's words: milliseconds, and `None` for what is said elsewhere.

The options of a call win over the queue's, those over the shared ones (`merged`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, TypedDict

from toril.core.checks import is_whole, require
from toril.engine.options import JobOptions, KeepPolicy, check_priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a job waits between two attempts."""

    type: Literal["fixed", "exponential"] = "exponential"
    """`fixed`: always `delay`. `exponential`: `delay`, then twice as long each time."""
    delay: int = 1000
    """The wait before the second attempt, in milliseconds."""

    def __post_init__(self) -> None:
        good = self.type in ("fixed", "exponential")
        require(good, "backoff.type", self.type, "'fixed' or 'exponential'")
        _require_ms("backoff.delay", self.delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How many finished jobs stay, and for how long."""

    count: int | None = None
    """The newest so many. None: no limit."""
    age: int | None = None
    """For so long after they finished, in seconds, as in BullMQ. None: no limit."""

    def __post_init__(self) -> None:
        for name, value in (("count", self.count), ("age", self.age)):
            good = value is None or (is_whole(value) and value >= 0)
            require(good, name, value, "an integer from 0, or None")


Keep = bool | int | Kept
"""True: the job is removed at once. False: all stay. A number: the newest so many stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """Options of jobs. None: what the queue says, else the shared settings, else `SHARED`."""

    priority: int | None = None
    """1 to 2,097,151; lower runs sooner. None: none, which runs before all others."""
    delay: int | None = None
    """Runs no sooner than so many milliseconds from now."""
    attempts: int | None = None
    """Attempts in all, the first included."""
    backoff: Backoff | None = None
    """The wait between two attempts."""
    remove_on_complete: Keep | None = None
    """Whether the job is removed once completed; a number or `Kept`: how many stay."""
    remove_on_fail: Keep | None = None
    """Whether the job is removed once failed for good; a number or `Kept`: how many stay."""

    def __post_init__(self) -> None:
        if self.priority is not None:
            check_priority(self.priority)
        if self.delay is not None:
            _require_ms("delay", self.delay)
        good = self.attempts is None or (is_whole(self.attempts) and self.attempts >= 1)
        require(good, "attempts", self.attempts, "an integer from 1")
        good = self.backoff is None or isinstance(self.backoff, Backoff)
        require(good, "backoff", self.backoff, "Backoff(type=..., delay=...)")
        for name in ("remove_on_complete", "remove_on_fail"):
            value = getattr(self, name)
            good = (
                value is None or isinstance(value, bool | Kept) or (is_whole(value) and value >= 0)
            )
            require(good, name, value, "True, False, a number from 0, or Kept(count=..., age=...)")

    def merged(self, *below: JobSettings) -> JobSettings:
        """Return these settings, with what they leave open taken from those below, in order."""
        found = self
        for other in below:
            open_ = [one.name for one in fields(self) if getattr(found, one.name) is None]
            found = replace(found, **{name: getattr(other, name) for name in open_})
        return found

    def options(self, job_id: str | None = None) -> JobOptions:
        """Return them as the options of a job."""
        backoff = self.backoff
        return JobOptions(
            job_id=job_id,
            priority=self.priority or 0,
            delay_s=(self.delay or 0) / 1000,
            max_attempts=self.attempts,
            backoff=None if backoff is None else backoff.type,
            backoff_s=None if backoff is None else backoff.delay / 1000,
            keep_completed=_policy(self.remove_on_complete),
            keep_failed=_policy(self.remove_on_fail),
        )


class AddOptions(TypedDict, total=False):
    """Options of one job as it is added: those of `JobSettings`, and its id."""

    job_id: str | None
    """An id of the caller's own; a second job with it is not added."""
    priority: int | None
    """As `JobSettings.priority`; the others likewise."""
    delay: int | None
    attempts: int | None
    backoff: Backoff | None
    remove_on_complete: Keep | None
    remove_on_fail: Keep | None


def _policy(keep: Keep | None) -> KeepPolicy | None:
    if keep is None:
        return None
    if isinstance(keep, Kept):
        return KeepPolicy(count=keep.count, age_s=keep.age)
    if isinstance(keep, bool):
        return KeepPolicy(count=0) if keep else KeepPolicy()
    return KeepPolicy(count=keep)


def _require_ms(name: str, value: object) -> None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    require(good, name, value, "milliseconds, an integer from 0")


SHARED = JobSettings(
    delay=0, attempts=3, backoff=Backoff(), remove_on_complete=True, remove_on_fail=False
)
"""What holds where nobody says otherwise."""
