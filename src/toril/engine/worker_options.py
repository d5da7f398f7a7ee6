"""The options of a worker: which queues it serves, with how many slots, and how patiently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from toril.core.checks import is_whole, require
from toril.core.ids import check_queue_name
from toril.engine.options import RateLimit
from toril.engine.runners.processes import ProcessOptions
from toril.engine.unknown_tasks import PATIENCE_S, require_policy

MAX_CONCURRENCY = 100_000


def require_concurrency(concurrency: Any) -> None:
    """Refuse what cannot be how many jobs a worker runs at once.

    Raises:
        InvalidOptionError: It is no integer from 1 to `MAX_CONCURRENCY`.
    """
    good = is_whole(concurrency) and 1 <= concurrency <= MAX_CONCURRENCY
    require(good, "concurrency", concurrency, f"an integer from 1 to {MAX_CONCURRENCY:,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How a worker works."""

    queues: Sequence[str]
    """Which queues it serves, in the order in which they are asked. Default: all that have
    tasks."""
    weights: Mapping[str, int] | None = None
    """Shares of the slots by queue, in place of that order. Every queue has one, from 1."""
    concurrency: int = 10
    """Jobs at once. Default: the settings', else the profile's, else 10."""
    lease_s: float = 30.0
    """How long a claim holds without renewal, in seconds. Renewed long before. Default: the
    profile's, else 30."""
    max_stalled: int = 1
    """How often a job may lose its worker, in one attempt that was begun, before it is failed
    without another run. Default: the settings', else 1."""
    sweep_s: float = 30.0
    """Longest time between two looks for jobs of dead workers, in seconds. Mostly sooner: when a
    worker may turn out to be dead. Default: the profile's, else 30."""
    shutdown_s: float = 25.0
    """How long `stop()` lets running jobs go on, in seconds. Less than what the machine allows.
    Default: the settings', else 25."""
    stale_after_s: float = 60.0
    """If the store does not answer for so long, the worker ends with its error, in seconds."""
    rate: RateLimit | None = None
    """At most so many starts in a window, counted per queue over all workers that have a limit."""
    rates: Mapping[str, RateLimit] = field(default_factory=dict)
    """Limits of some queues in place of `rate`. Default: what bindings say, see `App.bind`."""
    at_once: Mapping[str, int] = field(default_factory=dict)
    """Most jobs of some queues that this worker runs at once. Default: what bindings say."""
    processes: ProcessOptions = field(default_factory=ProcessOptions)
    """How child processes are recycled."""
    unknown_tasks: Literal["wait", "fail"] = "wait"
    """What becomes of jobs that the worker has no task for: they go back and wait for a worker that
    has it, or fail at once."""
    unknown_task_patience_s: float = PATIENCE_S
    """How long such a job waits before it fails, in seconds."""

    def __post_init__(self) -> None:
        require(len(self.queues) > 0, "queues", self.queues, "at least one queue")
        for queue in self.queues:
            check_queue_name(queue)
        if self.weights is not None:
            require(
                set(self.weights) == set(self.queues)
                and all(
                    isinstance(weight, int) and weight >= 1 for weight in self.weights.values()
                ),
                "weights",
                dict(self.weights),
                f"an integer from 1 for each of {', '.join(self.queues)}",
            )
        require_concurrency(self.concurrency)
        for limit in self.at_once.values():
            require_concurrency(limit)
        require(self.lease_s >= 0.1, "lease_s", self.lease_s, "seconds, from 0.1")
        require(self.max_stalled >= 0, "max_stalled", self.max_stalled, "an integer from 0")
        require(self.sweep_s > 0, "sweep_s", self.sweep_s, "seconds, above 0")
        require(self.shutdown_s >= 0, "shutdown_s", self.shutdown_s, "seconds, 0 or more")
        require_policy(self.unknown_tasks, self.unknown_task_patience_s)
        require(self.stale_after_s > 0, "stale_after_s", self.stale_after_s, "seconds, above 0")
