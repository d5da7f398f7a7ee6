"""Tells scripts the time: empty, so that they ask the server, or the clock of a test."""

from __future__ import annotations

from toril.core.clock import Clock, SystemClock


class Moments:
    """What scripts are told about the time."""

    __slots__ = ("_clock", "_frozen")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._frozen = not isinstance(clock, SystemClock)

    def frozen(self) -> str:
        """Return the time for a script: empty, so that it asks the server, unless frozen."""
        return str(self._clock.now_ms()) if self._frozen else ""

    def now_ms(self) -> int:
        """Return about what time it is: by this host's clock, or the clock of a test."""
        return self._clock.now_ms()
