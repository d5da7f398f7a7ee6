"""Ends attempts whose time is up, and has those left behind that do not end when they are told.

One timer looks at all attempts of a worker. Knows no outcomes, and nothing of how a task runs but
that a thread has patience of its own (`runners/in_thread.py`).
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Mapping

from toril.engine.attempt import Attempt

TICK_S = 0.1
"""Between two looks at the deadlines: a time limit is that exact, and no job needs a timer."""
PATIENCE_S = 2.0
"""How long a coroutine has to clean up after it was told to end, before it is told again."""
STUBBORN = 3
"""How often a coroutine that swallows its cancellation is told, before it is left behind."""


class Deadlines:
    """The deadlines of one worker's attempts."""

    __slots__ = ("_abandon", "_loop", "_running", "_surroundings", "_timer", "watching")

    def __init__(
        self,
        running: Mapping[tuple[str, int | str], Attempt],
        *,
        abandon: Callable[[Attempt], None],
        surroundings: contextvars.Context,
    ) -> None:
        """Make them. They watch nothing until `watch`.

        Parameters:
            running: All attempts under way. Grows and shrinks meanwhile.
            abandon: Takes each attempt that will not end.
            surroundings: The context in which the timer runs: none of an attempt's.
        """
        self._running = running
        self._abandon = abandon
        self._surroundings = surroundings
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.watching = False
        """Whether the timer runs. It does until nothing is under way."""

    def watch(self) -> None:
        """Look at all attempts every `TICK_S`, as long as there are some."""
        self.watching = True
        self._timer = self._loop.call_later(TICK_S, self._tick, context=self._surroundings)

    def close(self) -> None:
        """Stop watching."""
        self.watching = False
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        """Tell those whose time is up; leave behind those that will not listen."""
        now_s = time.monotonic()
        for attempt in list(self._running.values()):
            if attempt.stop_kind is not None:
                if _swallows(attempt) and now_s >= attempt.nudged_s + PATIENCE_S:
                    self._insist(attempt)
            elif attempt.deadline_s is not None and now_s >= attempt.deadline_s:
                handler = attempt.handler
                limit_s = None if handler is None else handler.timeout_s
                attempt.stop("timeout", f"ran longer than timeout_s={limit_s}")
        self.watching = False
        if self._running:
            self.watch()

    def _insist(self, attempt: Attempt) -> None:
        if attempt.nudges >= STUBBORN:
            self._abandon(attempt)
        else:
            attempt.nudge()


def _swallows(attempt: Attempt) -> bool:
    """Whether a coroutine goes on although it was cancelled. Threads have their own patience."""
    return attempt.handler is not None and attempt.handler.run_in == "loop"
