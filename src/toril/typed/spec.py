"""A queue as producers and processors share it: its name, its weight, its worker's figures."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from toril.core.checks import is_whole, require
from toril.core.errors import InvalidOptionError
from toril.core.ids import check_queue_name
from toril.engine.profiles import Profile
from toril.engine.worker_options import require_concurrency
from toril.typed.job_settings import JobSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFigures:
    """What a worker of a queue goes by, in BullMQ's words."""

    concurrency: int = 1
    """Most jobs that run at once in one worker."""
    lock_duration: int = 30_000
    """After so many milliseconds a job whose lock was not renewed counts as stalled."""
    stalled_interval: int = 30_000
    """Longest time between two looks for stalled jobs, in milliseconds."""
    max_stalled_count: int = 1
    """How often a job may stall before it fails."""


FIGURES: dict[Profile | None, WorkerFigures] = {
    None: WorkerFigures(),
    Profile.LIGHT: WorkerFigures(concurrency=50),
    Profile.MEDIUM: WorkerFigures(concurrency=10, lock_duration=300_000),
    Profile.HEAVY: WorkerFigures(lock_duration=3_600_000, stalled_interval=300_000),
}
"""By profile; None: a queue without one."""


class QueueSpec:
    """A queue. Figures that are not given are those of its profile."""

    def __init__(
        self,
        name: str,
        *,
        profile: Profile | str | None = None,
        concurrency: int | None = None,
        lock_duration: int | None = None,
        stalled_interval: int | None = None,
        max_stalled_count: int | None = None,
        job_name: str = "process",
        any_name: bool = False,
        timeout_s: float | None = 3600.0,
        defaults: JobSettings | None = None,
    ) -> None:
        """Declare a queue.

        Parameters:
            name: Its name on the wire.
            profile: Which workers serve it: `light`, `medium` or `heavy`. None: those of all.
            concurrency: Most jobs that run at once in one worker.
            lock_duration: After so many milliseconds a job whose lock was not renewed counts as
                stalled. From 1000. Locks are renewed while a job runs.
            stalled_interval: Longest time between two looks for stalled jobs, in milliseconds.
            max_stalled_count: How often a job may stall before it fails.
            job_name: What its producer calls jobs.
            any_name: Its processor also runs jobs of any other name. Otherwise these fail at once.
            timeout_s: Longest attempt, in seconds. None: no limit.
            defaults: Options of its jobs, for what a call leaves open.

        Raises:
            InvalidOptionError: One makes no sense; the message names it and its value.
        """
        self.name = check_queue_name(name)
        words = ", ".join(Profile)
        good = profile is None or profile in list(Profile)
        require(good, "profile", None if profile is None else str(profile), f"one of {words}")
        self.profile = None if profile is None else Profile(profile)
        given: dict[str, Any] = {
            "concurrency": concurrency,
            "lock_duration": lock_duration,
            "stalled_interval": stalled_interval,
            "max_stalled_count": max_stalled_count,
        }
        base = FIGURES[self.profile]
        self.figures = WorkerFigures(
            **{one: getattr(base, one) if value is None else value for one, value in given.items()}
        )
        _check(self.name, self.figures)
        self.job_name = job_name
        self.any_name = any_name
        require(
            timeout_s is None or (isinstance(timeout_s, int | float) and timeout_s > 0),
            "timeout_s",
            timeout_s,
            "seconds, above 0, or None",
        )
        self.timeout_s = timeout_s
        require(
            defaults is None or isinstance(defaults, JobSettings),
            "defaults",
            defaults,
            "JobSettings(...), or None",
        )
        self.defaults = defaults or JobSettings()

    def __repr__(self) -> str:
        return f"QueueSpec({self.name!r})"


def _check(queue: str, figures: WorkerFigures) -> None:
    require_concurrency(figures.concurrency)
    for name, least in (("lock_duration", 1000), ("stalled_interval", 1)):
        value = getattr(figures, name)
        good = is_whole(value) and value >= least
        require(good, name, value, f"milliseconds, an integer from {least}")
    value = figures.max_stalled_count
    require(is_whole(value) and value >= 0, "max_stalled_count", value, "an integer from 0")
    if figures.stalled_interval > figures.lock_duration:
        warnings.warn(
            f"queue {queue!r}: stalled_interval={figures.stalled_interval} is longer than"
            f" lock_duration={figures.lock_duration}: a stalled job is found late",
            stacklevel=3,
        )


def spec_of(owner: type, spec: object) -> QueueSpec:
    """Return the queue that a class names by `spec=`.

    Raises:
        InvalidOptionError: It names none.
    """
    if not isinstance(spec, QueueSpec):
        raise InvalidOptionError(
            f"class {owner.__qualname__}: spec={spec!r}: expected a QueueSpec, as in"
            f" class {owner.__name__}(..., spec=MY_QUEUE)"
        )
    return spec
