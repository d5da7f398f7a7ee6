"""Runs plain functions in threads: started when needed, kept for the next one.

A thread cannot be killed. It is told through its `Context`, then an exception is raised at its next
Python instruction; one that sits in a C call meanwhile is left behind and no longer counted.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import Any

from toril.engine.judging import describe
from toril.engine.runners import forks
from toril.engine.stand_ins import presentable


class ThreadInterrupt(BaseException):
    """Raised in a task that did not end when it was told to. Not an `Exception`: it must pass."""


class ThreadSlots:
    """Threads that run one function at a time each."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._idle: deque[_Slot] = deque()
        self._slots: set[_Slot] = set()
        self._done: deque[tuple[_Slot, asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False
        self._lock = threading.Lock()

    def start(self, function: Callable[..., Any], arguments: dict[str, Any]) -> ThreadCall:
        """Call `function` in a thread; the caller bounds how many at once.

        It runs in a copy of the caller's context, as coroutines do: it sees what middleware has set
        for this attempt, and what it sets itself ends with it. A thread serves many jobs.
        """
        slot = self._idle.pop() if self._idle else _Slot(self)
        self._slots.add(slot)
        future: asyncio.Future[Any] = self._loop.create_future()
        slot.calls.put((copy_context(), function, arguments, future))
        return ThreadCall(slot, future)

    def close(self) -> None:
        """End the idle threads; those that still run end with their function."""
        for slot in list(self._slots):
            slot.calls.put(None)
        self._idle.clear()

    def report(
        self, slot: _Slot, future: asyncio.Future[Any], value: Any, error: BaseException | None
    ) -> None:
        """Take a thread's result. From that thread; one wake-up of the loop serves many."""
        with self._lock:
            self._done.append((slot, future, value, error))
            told, self._told = self._told, True
        if not told:
            try:
                self._loop.call_soon_threadsafe(self._collect)
            except RuntimeError:  # the loop was closed: nobody waits any more
                return

    def _collect(self) -> None:
        with self._lock:
            done, self._done = self._done, deque()
            self._told = False
        for slot, future, value, error in done:
            if not slot.abandoned:
                self._idle.append(slot)
            if future.done():
                continue
            if error is None:
                future.set_result(value)
            elif isinstance(error, ThreadInterrupt):
                future.cancel()
            else:
                future.set_exception(error)


class ThreadCall:
    """A call under way."""

    __slots__ = ("_slot", "future")

    def __init__(self, slot: _Slot, future: asyncio.Future[Any]) -> None:
        self._slot = slot
        self.future = future

    def interrupt(self) -> None:
        """Raise in the thread at its next Python instruction."""
        self._slot.interrupt(self.future)

    def abandon(self) -> bool:
        """Count the thread no longer; return whether it was still at work."""
        return self._slot.abandon(self.future)


class _Slot:
    """One thread."""

    def __init__(self, slots: ThreadSlots) -> None:
        self.calls: SimpleQueue[
            tuple[Context, Callable[..., Any], dict[str, Any], asyncio.Future[Any]] | None
        ] = SimpleQueue()
        self.abandoned = False
        self._slots = slots
        self._lineage = forks.lineage
        self._current: asyncio.Future[Any] | None = None
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="toril-task", daemon=True)
        self._thread.start()

    def interrupt(self, future: asyncio.Future[Any]) -> None:
        with self._lock:
            ident = self._thread.ident
            if self._current is future and ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(ident), ctypes.py_object(ThreadInterrupt)
                )

    def abandon(self, future: asyncio.Future[Any]) -> bool:
        with self._lock:
            self.abandoned = self._current is future
        if self.abandoned:
            self.calls.put(None)  # should the function return after all, its thread ends
        return self.abandoned

    def _run(self) -> None:
        while (call := self.calls.get()) is not None:
            context, function, arguments, future = call
            value: Any = None
            error: BaseException | None = None
            try:
                try:
                    with self._lock:
                        self._current = future
                    value = context.run(function, **arguments)
                except BaseException as raised:
                    forks.end_if_forked(self._lineage, raised)
                    error = raisable(raised)
                forks.end_if_forked(self._lineage)
                with self._lock:  # from here on nobody interrupts
                    self._current = None
            except ThreadInterrupt as late:  # it arrived when the function had ended by itself
                self._current = None
                error = late
            self._slots.report(self, future, value, error)
            del call, context, function, arguments, future, value, error


def raisable(error: BaseException) -> BaseException:
    """Futures refuse StopIteration, and the loop would end for SystemExit and KeyboardInterrupt."""
    if isinstance(error, StopIteration | SystemExit | KeyboardInterrupt):
        return presentable(error, describe(error))
    return error
