"""Adding jobs, on behalf of tasks and of queues by name."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from toril.core.errors import InvalidOptionError
from toril.engine.contract import Backend
from toril.engine.drafts import EnqueueMiddleware, through
from toril.engine.handler import Bound
from toril.engine.hooks import Hooks
from toril.engine.job import Added, NewJob
from toril.engine.new_jobs import MAX_PAYLOAD_BYTES
from toril.engine.operations import Operations
from toril.engine.portal import Portal
from toril.engine.results import Results
from toril.engine.row_writer import RowWriter

T = TypeVar("T")

CHUNK = 2000
"""Jobs of one transaction, about 10 ms: more than these go in several, in order."""


class Producer:
    """The producing side of an app: its store, opened when first needed, and those who wait."""

    def __init__(
        self,
        backend: Callable[[], Backend],
        place: object = None,
        hooks: Hooks | None = None,
        middleware: Sequence[EnqueueMiddleware] = (),
    ) -> None:
        """Make a producer.

        Parameters:
            backend: Gives the store, opened when it is first asked for.
            place: Where the store is, as the app was told: a URL or a client.
            hooks: Who is told what is done to jobs and queues. Default: the log only.
            middleware: What sees each new job first. May grow.
        """
        self.backend = backend
        self.place = place
        self.operations = Operations(Hooks() if hooks is None else hooks)
        self.middleware = middleware
        self.encryption_keys: Sequence[str] = ()
        """By which fields are sealed; the first one writes, all of them read."""
        self.sealing: Callable[[str, str], Callable[[str], str] | None] | None = None
        """Returns what seals payloads of a queue and name. None: no task has sealed fields."""
        self.row_writer: Callable[[], RowWriter] | None = None
        """Gives what writes jobs into transactions of the caller. None: an app has none."""
        self.door: Callable[[str, str], Bound | None] | None = None
        """Returns what checks new jobs of a queue and name. None: the app binds no task."""
        self.portal = Portal()
        self.after_sync: Callable[[], None] | None = None
        """Called after each call of plain code, in its thread. For tests: see `toril.testing`."""
        self._results: dict[asyncio.AbstractEventLoop, Results] = {}

    @property
    def prepares(self) -> bool:
        """Whether code of the app sees new jobs whose task is not at hand (`prepare`)."""
        return bool(self.middleware) or self.sealing is not None or self.door is not None

    def prepare(self, job: NewJob) -> NewJob:
        """Return a new job after enqueue middleware, with its fields sealed.

        Raises:
            InvalidOptionError, InvalidPayloadError: There can be no such job as middleware made.
        """
        if self.door is not None and (bound := self.door(job.queue, job.name)) is not None:
            job = bound.admit(job)
        if self.middleware:
            limit = max(MAX_PAYLOAD_BYTES, len(job.data.encode()))
            job = through(self.middleware, job, max_payload_bytes=limit)
        seal = self.seal_of(job.queue, job.name)
        return job if seal is None else msgspec.structs.replace(job, data=seal(job.data))

    def seal_of(self, queue: str, name: str) -> Callable[[str], str] | None:
        """Return what seals payloads of a queue and name; None: nothing does."""
        return None if self.sealing is None else self.sealing(queue, name)

    def rows(self) -> RowWriter:
        """Return what writes jobs into transactions of the caller."""
        if self.row_writer is None:
            raise InvalidOptionError("there is no app here that has an outbox")
        return self.row_writer()

    async def add_many(self, jobs: Sequence[NewJob]) -> list[Added]:
        """Add jobs: up to 2,000 all or none, more in chunks of so many, in order.

        Should a chunk fail, those before it have been added, and the one after it perhaps.
        """
        store = self.backend().jobs
        if len(jobs) <= CHUNK:
            return await store.add(jobs)
        answers: list[Added] = []
        # Two are under way: the store works on one while the next is made ready for it.
        before: asyncio.Task[list[Added]] | None = None
        for start in range(0, len(jobs), CHUNK):
            chunk = asyncio.ensure_future(store.add(jobs[start : start + CHUNK]))
            if before is not None:
                answers += await _added(before, behind=chunk)
            before = chunk
        if before is not None:
            answers += await before
        return answers

    def results(self) -> Results:
        """Return those who wait on this event loop."""
        loop = asyncio.get_running_loop()
        results = self._results.get(loop)
        if results is None:
            self._results = {
                known: r for known, r in self._results.items() if not known.is_closed()
            }
            results = self._results[loop] = Results(self.backend())
        return results

    def run_sync(self, coroutine: Coroutine[Any, Any, T], called: str | None = None) -> T:
        """Run a coroutine for plain code, and wait for it.

        Warns whoever calls it where an event loop runs: that stands still meanwhile, and so does
        all that runs on it.

        Parameters:
            coroutine: What to run.
            called: What the caller has called. Default: the coroutine's name with `_sync`.
        """
        if asyncio._get_running_loop() is not None:
            name = getattr(coroutine, "__name__", "").lstrip("_")
            try:
                warnings.warn(
                    f"{called or f'{name}_sync'}() stops the event loop of this thread until it"
                    f" returns: use 'await {name}(...)'",
                    RuntimeWarning,
                    stacklevel=3,
                )
            except RuntimeWarning:  # somebody makes errors of warnings
                coroutine.close()
                raise
        result = self.portal.run(coroutine)
        if self.after_sync is not None:
            self.after_sync()
        return result

    def renew(self) -> None:
        """In a forked child: drop what was copied. Nobody waits in this process yet."""
        self._results = {}

    async def close(self) -> None:
        """Stop waiting for results. Of other loops too, as far as they still run."""
        here = asyncio.get_running_loop()
        for loop, results in list(self._results.items()):
            if loop is here:
                await results.close()
            elif loop.is_running():
                future = asyncio.run_coroutine_threadsafe(results.close(), loop)
                await asyncio.wrap_future(future)
        self._results.clear()
        await asyncio.to_thread(self.portal.close)


async def _added(
    chunk: asyncio.Task[list[Added]], *, behind: asyncio.Task[list[Added]]
) -> list[Added]:
    """Return what became of a chunk. If it was not added, wait for the one behind it as well."""
    try:
        return await asyncio.shield(chunk)
    except BaseException:
        # Nothing of this call goes on once it has ended; of several errors the first is told.
        await asyncio.gather(chunk, behind, return_exceptions=True)
        raise
