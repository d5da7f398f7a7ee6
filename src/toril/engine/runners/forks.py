"""A process that a task has forked ends where the task's code ends.

Else the child would go on with a copy of the worker: its event loop, its connections, its claims.
What a task does in its child is its own affair (`os.fork`, `multiprocessing`); only the way back
into our code is closed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from contextlib import suppress
from typing import NoReturn

lineage = 0
"""How many forks lie between this process and the one that has imported this module. Code that runs
tasks compares it with the value at its own start, to notice that a task has forked."""

_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()
"""The event loops of workers, and the threads that they run in."""


def end_with_child(loop: asyncio.AbstractEventLoop) -> None:
    """End each forked copy of this event loop at its next turn. Call it in the loop's thread."""
    _loops[loop] = threading.get_ident()


def end_if_forked(before: int, error: BaseException | None = None) -> None:
    """End this process if a task has forked it: `before` is the `lineage` of the worker."""
    if lineage != before:
        end_child(error)


def end_child(error: BaseException | None = None) -> NoReturn:
    """End a forked child as Python ends a program: with a code that says how it went."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        code = 1
        with suppress(BaseException):
            sys.excepthook(type(error), error, error.__traceback__)
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code)


def _in_child() -> None:
    global lineage
    lineage += 1
    for loop, thread in list(_loops.items()):
        if thread == threading.get_ident():
            # What was to run in this turn would run twice. (uvloop does not let us at its list.)
            with suppress(AttributeError):
                loop._ready.clear()  # type: ignore[attr-defined]
            with suppress(RuntimeError):  # it was closed
                loop.call_soon(end_child)
    _loops.clear()


os.register_at_fork(after_in_child=_in_child)
