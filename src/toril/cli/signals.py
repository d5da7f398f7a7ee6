"""Signal handlers that run even while a task blocks the event loop.

They are Python's own handlers, not the event loop's. asyncio and the interpreter restore the
default handlers when they end. A second SIGTERM at that moment would kill a process that has ended
well, and turn its exit code into -15. So a command calls `ignore_handled` last.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

_handled: set[signal.Signals] = set()


def handle(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each such signal, in the main thread, between any two lines of code."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        call()

    signal.signal(number, handler)
    _handled.add(number)


def handle_on_loop(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each such signal, in a turn of the running event loop."""
    loop = asyncio.get_running_loop()

    def pass_on() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call)

    handle(number, pass_on)


def ignore_handled() -> None:
    """Ignore all signals that have a handler from here: nothing is left to do but to exit."""
    while _handled:
        signal.signal(_handled.pop(), signal.SIG_IGN)
