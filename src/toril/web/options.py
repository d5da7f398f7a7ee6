"""What whoever starts a server may say about it. All checked when built."""

from __future__ import annotations

from dataclasses import dataclass

from toril.core.checks import is_whole, require
from toril.core.durations import require_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """What the REST interface allows."""

    max_body_bytes: int = 1024 * 1024
    """Largest body of a request."""
    body_timeout_s: float = 10.0
    """How long a body may take to arrive, in seconds."""
    request_timeout_s: float = 10.0
    """How long a request may take, in seconds. Then the answer is 503."""
    bulk_s: float = 5.0
    """How long a request that changes many jobs goes on, in seconds. Then it answers how many were
    changed and that there are more."""
    submissions_per_s: float | None = 1000.0
    """Jobs that one key may add in a second, on average; ten seconds' worth of them at once. None:
    no limit."""
    max_streams: int = 200
    """Streams of live events at once. Further ones get 503."""
    heartbeat_s: float = 15.0
    """How long a stream is silent at most, in seconds."""
    tick_s: float = 2.0
    """How often the figures of a stream are read while somebody listens, in seconds. Less often
    where reading them takes more than a twentieth of it, as with thousands of queues."""

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_streams"):
            value = getattr(self, name)
            require(is_whole(value) and value >= 1, name, value, "an integer from 1")
        for name in ("body_timeout_s", "request_timeout_s", "bulk_s", "heartbeat_s", "tick_s"):
            value = getattr(self, name)
            require_seconds(value, name)
            require(value > 0, name, value, "seconds, above 0")
        rate = self.submissions_per_s
        require(rate is None or rate > 0, "submissions_per_s", rate, "jobs a second, or None")
