"""Signals, heard at any moment of a command that goes on, and ignored once it has ended.

Plain signal handlers, not the event loop's. They run also while a task blocks the loop. And the
loop's end gives its own back to the system, and so does the interpreter's: a second SIGTERM that
arrived then would kill a process that had ended well, and make its exit code -15.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

_heard: set[signal.Signals] = set()


def hear(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each signal of that number: in the main thread, between any two lines."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        call()

    signal.signal(number, handle)
    _heard.add(number)


def hear_on_loop(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each signal of that number, on the running event loop."""
    loop = asyncio.get_running_loop()

    def pass_on() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call)

    hear(number, pass_on)


def go_deaf() -> None:
    """Ignore from here on what was heard: the process has done all, and only ends."""
    while _heard:
        signal.signal(_heard.pop(), signal.SIG_IGN)
