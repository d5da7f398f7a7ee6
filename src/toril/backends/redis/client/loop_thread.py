"""A thread with an event loop, for callers that have no loop or whose loop may be blocked.

Heartbeats and renewals of leases run here, so they go on while a task blocks the user's event loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from toril.core.errors import BackendClosedError, StoreUnreachableError

T = TypeVar("T")

THREAD_NAME = "toril-redis"


class LoopThread:
    """The thread; it starts when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def run(self, call: Callable[[], Coroutine[Any, Any, T]], timeout_s: float, shown: str) -> T:
        """Run what `call` makes there, and return what that returns.

        Raises:
            StoreUnreachableError: It took longer than `timeout_s`. Its outcome is unknown.
            BackendClosedError: The thread was stopped.
        """
        loop = self._started().loop
        coroutine = call()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:
            coroutine.close()
            raise BackendClosedError(f"{shown}: the store was closed") from None
        try:
            return future.result(timeout_s)
        except CancelledError:
            raise BackendClosedError(
                f"{shown}: the store was closed while a call was under way. Its outcome is unknown."
            ) from None
        except TimeoutError:
            if future.done():  # it raised that itself, or came in at the last moment
                return future.result()
            raise StoreUnreachableError(
                f"{shown}: no answer within {timeout_s:g} s. The outcome of the call is unknown: it"
                " may have been done.",
                sent=True,
            ) from None
        finally:
            future.cancel()

    def stop(self) -> None:
        """End the thread and wait until it has ended."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None and running.pid == os.getpid():
            running.loop.call_soon_threadsafe(running.stopping.set)
            running.thread.join()

    def _started(self) -> _Running:
        with self._lock:
            running = self._running
            if running is None or running.pid != os.getpid():  # a fork takes no threads along
                begun: Future[_Running] = Future()
                threading.Thread(target=lambda: _work(begun), name=THREAD_NAME, daemon=True).start()
                running = self._running = begun.result()
            return running


@dataclass(frozen=True, slots=True)
class _Running:
    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    stopping: asyncio.Event
    pid: int


def _work(begun: Future[_Running]) -> None:
    with asyncio.Runner() as runner:  # its end closes the connections of this loop
        runner.run(_wait(begun))


async def _wait(begun: Future[_Running]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    begun.set_result(_Running(threading.current_thread(), loop, stopping, os.getpid()))
    await stopping.wait()
