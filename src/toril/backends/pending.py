"""Jobs that producers add in one turn of an event loop, and that travel to the store together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from toril.engine.habits import warn_of_single_adds
from toril.engine.job import Added, NewJob


class Gathering:
    """Gathers single jobs until the turn of their event loop ends, and sends them in one call."""

    def __init__(self, send: Callable[[Pending], None], at_most: int) -> None:
        """Do nothing yet.

        Parameters:
            send: Called in the event loop with what was gathered. It answers each of the futures.
            at_most: Send without waiting for the end of the turn once so many are gathered.
        """
        self._send = send
        self._at_most = at_most
        self._pending: dict[asyncio.AbstractEventLoop, Pending] = {}

    def add(self, job: NewJob) -> asyncio.Future[Added]:
        """Add a job to what the present turn sends, and return the store's answer to come."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Added] = loop.create_future()
        pending = self._pending.get(loop)
        if pending is None:
            pending = self._pending[loop] = Pending([], [], time.monotonic())
            loop.call_soon(self._flush, loop)
        pending.jobs.append(job)
        pending.futures.append(future)
        if len(pending.jobs) >= self._at_most:
            self._flush(loop)
        return future

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        pending = self._pending.pop(loop, None)
        if pending is not None:
            if len(pending.jobs) > 1:
                warn_of_single_adds(len(pending.jobs), pending.jobs[0].queue)
            self._send(pending)


class Pending(NamedTuple):
    """Jobs that were added in one turn, and who waits for them."""

    jobs: list[NewJob]
    futures: list[asyncio.Future[Added]]
    since_s: float = 0.0
    """When the first one came, on `time.monotonic`."""

    def one_by_one(self) -> Iterator[Pending]:
        """Yield each job alone, so that a job which cannot be stored spoils no other."""
        for job, future in zip(self.jobs, self.futures, strict=True):
            yield Pending([job], [future], self.since_s)

    def succeed(self, answers: Sequence[Added | Exception]) -> None:
        """Hand each his answer."""
        self._answer(answers, 0, len(answers))

    def succeed_by_turns(
        self, answers: Sequence[Added | Exception], *, together: int, first: int = 0
    ) -> None:
        """Hand each his answer, `together` in each second turn of the event loop.

        So what the first ones add next is on its way, and worked on, while the others go on.
        """
        self._answer(answers, first, first + together)
        if first + together < len(answers):
            loop = asyncio.get_running_loop()
            more = partial(
                self.succeed_by_turns, answers, together=together, first=first + together
            )
            loop.call_soon(loop.call_soon, more)  # in the turn between what was added is sent

    def _answer(self, answers: Sequence[Added | Exception], first: int, end: int) -> None:
        for future, answer in zip(self.futures[first:end], answers[first:end], strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def fail(self, error: BaseException) -> None:
        """Hand each the error."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)
