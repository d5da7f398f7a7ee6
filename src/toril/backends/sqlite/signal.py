"""Wakes waiting calls when this process or another one has written.

A commit of this process wakes them directly. For commits of other processes, a thread polls
`PRAGMA data_version` while a call waits: every millisecond while others write, less and less often
while they do not.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from toril.backends.forks import FORKS

QUICK_S = 0.001
"""Between two looks while other processes are at work."""
IDLE_S = 0.04
"""Between two looks when nothing happened for a while."""
GROWTH = 1.03
"""How fast the one becomes the other: about 100 looks."""


class Signal:
    """A counter that grows with each change, and those who wait for it to grow."""

    def __init__(self) -> None:
        self.version = 0
        self._look: Callable[[], int] | None = None
        self._closed = False
        self.renew()
        FORKS.tell(self)

    def renew(self) -> None:
        """Begin with nobody who waits. In a forked child too: they are its parent's."""
        self._lock = threading.Lock()
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}
        self._somebody = threading.Event()
        self._thread: threading.Thread | None = None

    def heed(self, look: Callable[[], int]) -> None:
        """Learn of other processes' changes by a look. Without it there are none.

        Parameters:
            look: Called by a thread. Returns a number that differs once another process has
                written. Never raises: trouble is a change too.
        """
        self._look = look

    def ring(self) -> None:
        """Say that something changed. Callable from any thread."""
        with self._lock:
            self.version += 1
            if not self._waiting:
                return
            waiting, self._waiting = self._waiting, {}
        here = _running_loop()
        for future, loop in waiting.items():
            if loop is here:
                _resolve(future)
                continue
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
            if self._look is not None and not self._somebody.is_set():
                self._somebody.set()
                self._start_thread()
        timer = loop.call_later(timeout_s, _resolve, future)
        try:
            await future
        finally:
            timer.cancel()
            with self._lock:
                self._waiting.pop(future, None)

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
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="toril-signal", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        assert self._look is not None  # noqa: S101 - the thread is started only with it
        # The first look counts as a change: something may have been written since the first waiter
        # found nothing and before this thread began.
        seen: int | None = None
        pause_s = QUICK_S
        while not self._closed:
            now = self._look()
            if now != seen:
                seen, pause_s = now, QUICK_S
                self.ring()
            else:
                pause_s = min(pause_s * GROWTH, IDLE_S)
            time.sleep(pause_s)
            # Asleep only now, not at every ring: those who wait come and go with each job.
            if not self._waiting:
                with self._lock:
                    if not self._waiting and not self._closed:
                        self._somebody.clear()
                self._somebody.wait()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
