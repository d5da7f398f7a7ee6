"""A clock that stands still until a test moves it."""

from __future__ import annotations

from toril.core.checks import require

START_MS = 1_750_000_000_000
"""15 June 2025, a quarter past three in the afternoon, UTC."""


class ManualClock:
    """A `Clock` for tests: both readings move only when told to. Readable from any thread."""

    __slots__ = ("_now_ms", "_starts", "_steady_ms")

    def __init__(self, *, now_ms: int = START_MS, steady_ms: int = 1_000_000) -> None:
        self._now_ms = now_ms
        self._steady_ms = steady_ms
        self._starts = 1

    def now_ms(self) -> int:
        """Return the calendar time, epoch milliseconds."""
        return self._now_ms

    def steady_ms(self) -> int:
        """Return the stopwatch's reading in milliseconds."""
        return self._steady_ms

    def advance(self, seconds: float) -> None:
        """Let time pass: both readings move, by whole milliseconds.

        Raises:
            InvalidOptionError: If `seconds` is negative; only a calendar goes back.
        """
        require(seconds >= 0, "seconds", seconds, "seconds, 0 or more")
        passed_ms = round(seconds * 1000)
        self._now_ms += passed_ms
        self._steady_ms += passed_ms

    def jump_calendar(self, seconds: float) -> None:
        """Put the calendar forward, or back if negative. The stopwatch does not notice."""
        self._now_ms += round(seconds * 1000)

    def restart_host(self, *, uptime_s: float = 0.0) -> None:
        """Begin the stopwatch anew, as a restart of the host does. The calendar goes on."""
        self._steady_ms = round(uptime_s * 1000)
        self._starts += 1

    def boot_id(self) -> str:
        """Return the id of the simulated boot."""
        return str(self._starts)
