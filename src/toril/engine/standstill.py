"""Notices that the process stood still: SIGSTOP, a machine that slept, a paused container.

Its leases may have expired meanwhile, and its jobs may run elsewhere. So before tasks go on, the
lease thread checks which leases still hold, and the event loop waits for the answer. An event loop
runs all due timers in one turn, and coroutines in the next. So a timer that recurs often enough
runs before every coroutine, on every kind of loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

TURN_S = 0.1
"""Interval of the timer while jobs run, in seconds. Timers do not advance while a machine sleeps,
so coroutines may go on for that long before this one runs."""
STANDSTILL_S = 2.0
"""A shorter standstill endangers no lease."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def elapsed_s() -> float:
    """Return a stopwatch's reading in seconds. It counts a sleep of the machine, on Linux.

    Source: clock_gettime(2), CLOCK_BOOTTIME.
    """
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class StandstillWatch:
    """The timer, on the worker's event loop."""

    def __init__(
        self,
        *,
        tick_s: float,
        lease_s: float,
        busy: Callable[[], bool],
        went_on_s: Callable[[], float],
        stood_s: Callable[[], float],
        woken: Callable[[float], None],
        turned: Callable[[float], None],
    ) -> None:
        """Make a watch.

        Parameters:
            tick_s: Between two turns of the timer while nothing runs.
            lease_s: The lease of what runs.
            busy: Whether anything runs.
            went_on_s: When the lease thread was last seen at work, on the clock of `elapsed_s`.
            stood_s: When the lease thread last noticed a standstill of its own.
            woken: Called when the process stood still; takes for how long (s).
            turned: Called at each turn; takes how late it comes (s).
        """
        self._tick_s = tick_s
        self.standstill_s = min(STANDSTILL_S, lease_s / 3)
        """Shortest pause that counts as a standstill, in seconds."""
        self._busy = busy
        self._went_on_s = went_on_s
        self._stood_s = stood_s
        self._woken = woken
        self._turned = turned
        self._loop = asyncio.get_running_loop()
        self._turned_s = self._checked_s = elapsed_s()
        self._due_s = self._turned_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the timer."""
        self._turn()

    def stop(self) -> None:
        """End it."""
        if self._timer is not None:
            self._timer.cancel()

    def late_s(self) -> float:
        """Return how late the next turn is by now. From any thread."""
        return elapsed_s() - self._due_s

    def look(self) -> None:
        """Check now, in the handler of SIGCONT, which comes in the middle of a turn of the loop."""
        # The store's own code may hold a lock that the lease thread would wait for.
        if not _in_store():
            self._check(elapsed_s())

    def _turn(self) -> None:
        now_s = elapsed_s()
        late_s = now_s - self._due_s
        if late_s >= self.standstill_s:
            self._check(now_s)
        self._turned(late_s)
        interval_s = min(TURN_S, self._tick_s) if self._busy() else self._tick_s
        self._turned_s = elapsed_s()
        self._due_s = self._turned_s + interval_s
        self._timer = self._loop.call_later(interval_s, self._turn)

    def _check(self, now_s: float) -> None:
        # A task that blocked the loop is no standstill: the thread went on. Of a standstill it has
        # either not been awake since, or it has noticed it, too.
        silent_s = now_s - self._went_on_s()
        if silent_s >= self.standstill_s + self._tick_s or self._stood_s() > self._checked_s:
            self._checked_s = now_s
            self._woken(now_s - self._turned_s)


def _in_store() -> bool:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_globals.get("__name__", "").startswith("toril.backends"):
            return True
    return False
