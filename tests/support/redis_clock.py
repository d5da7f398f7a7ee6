"""Time that stands still, also for what Redis lets expire."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.redis_servers import RedisServer, literal

from toril.testing.clock import ManualClock

REDIS_START_MS = 2_100_000_000_000
"""18 July 2036. Ahead of every real calendar, so that Redis lets nothing expire by itself, and
low enough for scores of delayed jobs to stay exact: times 4,096 it is below 2 to the power of 53.
"""


# One round trip, whatever there is. An expiry of -1 says that there is none.
_EXPIRE = """
for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local at_ms = redis.call('PEXPIRETIME', key)
  if at_ms > 0 and at_ms <= tonumber(ARGV[2]) then redis.call('UNLINK', key) end
end
"""


class RedisClock(ManualClock):
    """A `ManualClock` that a Redis store in a test goes by.

    The store writes expiries as moments of its clock. Those lie in the server's future, so that
    whoever moves this clock has to do what the server would: remove what has expired.
    """

    __slots__ = ("_prefixes", "_servers")

    def __init__(
        self,
        servers: Sequence[RedisServer],
        prefixes: Sequence[str],
        *,
        now_ms: int = REDIS_START_MS,
        steady_ms: int = 1_000_000,
    ) -> None:
        super().__init__(now_ms=now_ms, steady_ms=steady_ms)
        self._servers = tuple(servers)
        self._prefixes = tuple(prefixes)

    def advance(self, seconds: float) -> None:
        """Let time pass, and with it what expires until then, at its last moment included."""
        super().advance(seconds)
        self.expire()

    def jump_calendar(self, seconds: float) -> None:
        """Put the calendar forward, or back if negative. Redis expires by the calendar."""
        super().jump_calendar(seconds)
        self.expire()

    def expire(self) -> None:
        """Remove the keys whose time is over."""
        for server in self._servers:
            for prefix in self._prefixes:
                server.command("EVAL", _EXPIRE, 0, literal(prefix) + "*", self.now_ms())
