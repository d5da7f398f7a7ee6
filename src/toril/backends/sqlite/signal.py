"""How those who wait learn that something changed, in this process and in others.

In this process a commit rings the bell. Commits of other processes show in `PRAGMA data_version`;
a thread looks at it while somebody waits: every millisecond as long as things happen, more and more
seldom when they do not.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

QUICK_S = 0.001
"""Between two looks while other processes are at work."""
IDLE_S = 0.03
"""Between two looks when nothing happened for a while."""
GROWTH = 1.03
"""How fast the one becomes the other: about 100 looks."""


class Look(Protocol):
    """Tells whether another process has written. Used by one thread."""

    def __call__(self) -> int:
        """Return a number that differs once one has. Never raises: trouble is a change too."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Signal:
    """A counter that grows with each change, and those who wait for it to grow."""

    def __init__(self, look: Look | None) -> None:
        """Make a signal; `look` is None where there are no other processes."""
        self.version = 0
        self._look = look
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._somebody = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Say that something changed. Callable from any thread."""
        with self._lock:
            self.version += 1
            waiting, self._waiting = self._waiting, {}
            if not self._closed:
                self._somebody.clear()
        for future, loop in waiting.items():
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # that loop was closed; nobody is left to tell
                continue

    async def wait(self, seen: int, timeout_s: float) -> None:
        """Return once the version is not `seen` any more, or after a while."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            if self.version != seen or self._closed:
                return
            self._waiting[future] = loop
            self._somebody.set()
            self._start_thread()
        timer = loop.call_later(timeout_s, _resolve, future)
        try:
            await future
        finally:
            timer.cancel()
            with self._lock:
                self._waiting.pop(future, None)
                # Once closed it stays set: the thread might not have seen it yet.
                if not self._waiting and not self._closed:
                    self._somebody.clear()

    def close(self) -> None:
        """End all waiting, and the thread."""
        with self._lock:
            self._closed = True
            self._somebody.set()
            thread = self._thread
        self.ring()
        if thread is not None:
            thread.join()

    def _start_thread(self) -> None:
        if self._look is not None and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="toril-signal", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        assert self._look is not None  # noqa: S101 - the thread is started only with it
        pause = threading.Event()  # never set: a sleep
        # The first look counts as a change: something may have been written since the first waiter
        # found nothing and before this thread began.
        seen: int | None = None
        pause_s = QUICK_S
        while True:
            self._somebody.wait()
            if self._closed:
                self._look.close()
                return
            now = self._look()
            if now != seen:
                seen, pause_s = now, QUICK_S
                self.ring()
            else:
                pause_s = min(pause_s * GROWTH, IDLE_S)
            pause.wait(pause_s)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
