"""Signal handlers that run even while a task blocks the event loop.

They are Python's own handlers, not the event loop's. asyncio and the interpreter restore the
default handlers when they end. A second SIGTERM at that moment would kill a process that has ended
well, and turn its exit code into -15. So a command calls `ignore_handled` last.

Python runs such a handler in the main thread, between two lines of code. A loop that is about to
wait for its files has no more lines to run, nor is it woken by a signal that another thread took.
So a signal is also written to a pipe on which the loop waits.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_handled: set[signal.Signals] = set()
_pipe: tuple[int, int] | None = None
"""Where signals are written, and from where the loop reads them."""


def handle(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each such signal, in the main thread, between any two lines of code.

    To be called on the event loop that a signal is to wake.
    """

    def handler(_number: int, _frame: FrameType | None) -> None:
        call()

    signal.signal(number, handler)
    _handled.add(number)
    _wake(asyncio.get_running_loop())


def handle_on_loop(number: signal.Signals, call: Callable[[], None]) -> None:
    """Call `call` at each such signal, in a turn of the running event loop."""
    loop = asyncio.get_running_loop()

    def pass_on() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(call)

    handle(number, pass_on)


def ignore_handled() -> None:
    """Ignore all signals that have a handler from here: nothing is left to do but to exit."""
    global _pipe
    while _handled:
        signal.signal(_handled.pop(), signal.SIG_IGN)
    if _pipe is not None:
        signal.set_wakeup_fd(-1)
        for end in _pipe:
            os.close(end)
        _pipe = None


def _wake(loop: asyncio.AbstractEventLoop) -> None:
    """Have signals wake a loop, unless something (uvloop does) sees to it already."""
    global _pipe
    if _pipe is not None:
        return
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    if before != -1:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)
        return
    _pipe = reading, writing
    loop.add_reader(reading, _drain, reading)


def _drain(reading: int) -> None:
    with suppress(BlockingIOError):
        while os.read(reading, 4096):
            pass
