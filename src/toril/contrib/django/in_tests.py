"""Where the jobs of a Django test run: in its thread, which has the test's transaction."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from asgiref.sync import async_to_sync, sync_to_async

from toril.engine.attempt import Attempt
from toril.testing.callers import Begin

T = TypeVar("T")


class DjangoThread:
    """The thread that Django takes for its own: that of the test, also of an asynchronous one.

    Queries of async tasks are made in it as well.
    """

    serves_async = True

    def wait_for(self, begin: Begin, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what the coroutine returns; run its plain tasks in this thread until then."""

        async def run() -> T:
            return await coroutine

        result: T = async_to_sync(run)()
        return result

    async def run(
        self, attempt: Attempt, function: Callable[..., Any], arguments: dict[str, Any]
    ) -> Any:
        """Return what the function returns."""
        return await sync_to_async(function, thread_sensitive=True)(**arguments)

    def close(self) -> None:
        """Do nothing: the thread is the test's."""
