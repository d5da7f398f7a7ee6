"""The options of a fallback store."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from toril.core.checks import require
from toril.core.errors import InvalidOptionError

DEFAULT_SILENCE_S = 0.5
DEFAULT_STEADY_S = 2.0
_IN_MEMORY = ("sqlite::memory:", ":memory:")


@dataclass(frozen=True, slots=True)
class Fallback:
    """Where jobs go while Redis is away, and when the app changes over."""

    url: str = field(repr=False)
    """The spool: a file, such as `sqlite:///spool.db`, or `sqlite://:memory:`, which ends with the
    process. Several processes of one machine may share a file."""
    silence_s: float = field(default=DEFAULT_SILENCE_S, kw_only=True)
    """After how long without any answer the app changes over to the spool, in seconds."""
    steady_s: float = field(default=DEFAULT_STEADY_S, kw_only=True)
    """For how long Redis has to answer without a break before jobs move back, in seconds. After
    each return that does not last a minute it is doubled, up to a minute."""
    work: bool = field(default=True, kw_only=True)
    """Whether this process works the spool meanwhile, by the tasks that it knows."""
    concurrency: int = field(default=10, kw_only=True)
    """Jobs of the spool at once in a process that has no worker."""

    def __post_init__(self) -> None:
        require(isinstance(self.url, str) and self.url != "", "fallback", self.url, "a URL")
        if self.url in _IN_MEMORY:
            object.__setattr__(self, "url", "sqlite://:memory:")
        scheme = urlsplit(self.url).scheme if "://" in self.url else "sqlite"
        if scheme != "sqlite":
            raise InvalidOptionError(
                f"fallback: expected a file, such as 'sqlite:///spool.db', not {scheme}://…: what"
                " stands in for a server that is away must not need one"
            )
        require(0.1 <= self.silence_s <= 60, "silence_s", self.silence_s, "0.1 to 60 seconds")
        require(0 < self.steady_s <= 3600, "steady_s", self.steady_s, "up to an hour, in seconds")
        require(
            isinstance(self.concurrency, int) and 1 <= self.concurrency <= 100_000,
            "concurrency",
            self.concurrency,
            "1 to 100,000",
        )
