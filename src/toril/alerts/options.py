"""What is watched, when somebody is told, and by which channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from toril.alerts.message import AlertChannel
from toril.core.checks import is_whole, require
from toril.core.durations import require_seconds
from toril.core.wildcards import matches


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertThresholds:
    """Above what a queue is wrong. None turns a rule off."""

    dead_letters: int | None = 1
    """`dead_letter`: so many jobs of the queue became dead letters within `window_s`."""
    failure_ratio: float | None = 0.1
    """`error_rate`: more than this share of the attempts within `window_s` failed, retried ones
    included."""
    surge_factor: float | None = 5.0
    """`error_surge`: the share is more than so many times that of the 24 hours before, and at least
    2 %."""
    min_attempts: int = 20
    """Attempts within `window_s` below which no share is taken."""
    window_s: float = 300.0
    """Of the rules that count, in seconds: at least 60."""
    size: int | None = 1000
    """`queue_size`: more jobs wait."""
    growth_samples: int | None = 5
    """`queue_growth`: in so many samples, one a minute, more jobs waited each time."""
    oldest_s: float | None = 900.0
    """`oldest_job`: the job that is next in line has waited for longer, in seconds."""
    no_worker_s: float | None = 60.0
    """`no_worker`: jobs wait, and for so long no live worker served the queue, in seconds."""
    worker_lost_s: float | None = 60.0
    """`worker_lost`: a worker was silent for so long, and had not signed off, in seconds."""
    schedule_late_s: float | None = 60.0
    """`missed_schedule`: the job of a slot has not begun for so long after it, in seconds."""
    stuck_flows: int | None = 1
    """`stuck_flow`: so many flows wait for what will not come."""
    blocked_s: float | None = 5.0
    """`blocked_loop`: a task of the queue has blocked its worker's event loop for so long, in
    seconds."""

    def __post_init__(self) -> None:
        for name in ("dead_letters", "size", "stuck_flows"):
            value = getattr(self, name)
            good = value is None or (is_whole(value) and value >= 1)
            require(good, name, value, "an integer from 1, or None")
        good = self.growth_samples is None or (
            is_whole(self.growth_samples) and 2 <= self.growth_samples <= 60
        )
        require(good, "growth_samples", self.growth_samples, "an integer from 2 to 60, or None")
        good = is_whole(self.min_attempts) and self.min_attempts >= 1
        require(good, "min_attempts", self.min_attempts, "an integer from 1")
        ratio = self.failure_ratio
        require(ratio is None or 0 <= ratio < 1, "failure_ratio", ratio, "0 to 1, such as 0.1")
        factor = self.surge_factor
        require(factor is None or factor > 1, "surge_factor", factor, "a number above 1, or None")
        for name in (
            "oldest_s", "no_worker_s", "worker_lost_s", "schedule_late_s", "blocked_s"
        ):  # fmt: skip
            if getattr(self, name) is not None:
                require_seconds(getattr(self, name), name)
        require_seconds(self.window_s, "window_s")
        good = 60 <= self.window_s <= 86_400
        require(good, "window_s", self.window_s, "seconds, from 60 to 86,400")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertOptions:
    """Alerts of an app: `App(alerts=AlertOptions(channels=[…]))`."""

    channels: Sequence[AlertChannel] = field(repr=False)
    """Where messages go. Each has another name."""
    thresholds: AlertThresholds = AlertThresholds()
    """Of all queues."""
    queues: Mapping[str, AlertThresholds | None] = field(default_factory=dict)
    """Of some queues, in place of `thresholds`: by name, or by a pattern in which `*` stands for
    any characters. None: not watched. The first that fits counts, but a name goes before."""
    cooldown_s: float = 900.0
    """How long nothing more is said of the same alert after it was raised, in seconds."""
    recovery_s: float = 60.0
    """How long all has to be well before it is said to have recovered, in seconds."""
    every_s: float = 15.0
    """Between two looks at the store, in seconds."""
    source: str = ""
    """What messages call the installation, such as `shop, production`. Default: the store's URL,
    without a password."""

    def __post_init__(self) -> None:
        names = [channel.name for channel in self.channels]
        require(bool(names), "channels", self.channels, "at least one channel")
        once = len(set(names)) == len(names)
        require(once, "channels", names, "names that differ: give each channel a name=")
        for pattern, thresholds in self.queues.items():
            good = thresholds is None or isinstance(thresholds, AlertThresholds)
            require(good, f"queues[{pattern!r}]", thresholds, "AlertThresholds(...), or None")
        for name in ("cooldown_s", "recovery_s", "every_s"):
            require_seconds(getattr(self, name), name)
        require(self.every_s > 0, "every_s", self.every_s, "seconds, above 0")

    def of(self, queue: str) -> AlertThresholds | None:
        """Return the thresholds of a queue. None: it is not watched."""
        if queue in self.queues:
            return self.queues[queue]
        for pattern, thresholds in self.queues.items():
            if matches(pattern, queue):
                return thresholds
        return self.thresholds
