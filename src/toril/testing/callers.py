"""Runs the plain tasks of a test in the test's own thread, which waits for the run meanwhile.

What a thread has to itself (a transaction of Django's, a session of SQLAlchemy's, a patched local)
is there for its tasks as well. Worker, states and JSON are those of production: only the thread
differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from toril.engine.attempt import Attempt
from toril.engine.runners.in_thread import PlainRunner
from toril.engine.runners.threads import raisable

T = TypeVar("T")

Begin = Callable[[Coroutine[Any, Any, Any]], Future[Any]]
"""Begins a coroutine on an event loop of another thread."""


class Caller(PlainRunner, Protocol):
    """Runs plain tasks in the thread that waits for them. Serves one run."""

    serves_async: bool
    """Whether it can do so for an asynchronous test as well."""

    def wait_for(self, begin: Begin, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; run its plain tasks in this thread until then."""
        ...


class CallerThread:
    """The thread of a plain test. An asynchronous one is busy with its event loop."""

    serves_async = False

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._left = False

    def wait_for(self, begin: Begin, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; run its plain tasks in this thread until then."""
        running: Future[T] = begin(coroutine)
        running.add_done_callback(lambda _: self._calls.put(None))
        try:
            while (call := self._calls.get()) is not None:
                call()
        except KeyboardInterrupt:  # of the test, not of its task
            self._left = True
            running.cancel()
            while not self._calls.empty():
                if (call := self._calls.get()) is not None:
                    call()
            raise
        return running.result()

    async def run(
        self, attempt: Attempt, function: Callable[..., Any], arguments: dict[str, Any]
    ) -> Any:
        """Return what the function returns. Cancelled: not before it has ended.

        It is told through its `Context`, and not interrupted: the thread is the test's.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        context = copy_context()

        def call() -> None:
            value: Any = None
            error: BaseException | None = None
            try:
                if self._left:
                    raise KeyboardInterrupt
                value = context.run(function, **arguments)
            except BaseException as raised:
                error = raised
                if isinstance(raised, KeyboardInterrupt) and not self._left:
                    raise
            finally:
                loop.call_soon_threadsafe(_settle, answer, value, error and raisable(error))

        self._calls.put(call)
        if self._left and not self._calls.empty():
            raise asyncio.CancelledError
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])
            raise

    def close(self) -> None:
        """Do nothing: the thread is the test's."""


def _settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)
        answer.exception()  # looked at in any case: what it raised after its end does not count
