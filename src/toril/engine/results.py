"""Waiting for jobs to finish. One reader of the event log serves all who wait on a queue.

Where a queue tells nothing, each who waits looks at the job every so often.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import time
from contextlib import suppress
from typing import NamedTuple

from toril.core.errors import (
    BackendClosedError,
    BackendError,
    JobFailedError,
    JobNotFoundError,
    ResultTimeoutError,
)
from toril.engine.contract import Backend
from toril.engine.events import EventName, EventRecord
from toril.engine.spool_ids import is_spool_id
from toril.engine.states import State
from toril.engine.stream import follow, pages
from toril.engine.waited_in_vain import who_works

LOOK_AGAIN_S = 30.0
"""Between two looks at a job that is waited for, while its queue tells how jobs end."""
FIRST_LOOK_S = 0.1
"""The same where it does not, at first: each pause is twice the one before,"""
SELDOM_LOOK_S = 1.0
"""up to this."""
NOBODY_S = 60.0
"""Events are read no longer once nobody has waited for so long."""


class Ended(NamedTuple):
    """How a job ended."""

    state: State
    value: str
    """The result as JSON text, or the failure's reason."""


class Results:
    """Those who wait, on one event loop."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: dict[str, dict[str, list[asyncio.Future[Ended]]]] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._asked_s = 0.0

    async def wait(self, queue: str, job_id: str, *, timeout_s: float | None) -> str:
        """Return a job's result as JSON text, once there is one.

        Raises:
            JobFailedError: It failed for good.
            JobNotFoundError: There is no such job.
            ResultTimeoutError: It has not finished in time.
        """
        future: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
        here = self._waiting.setdefault(queue, {})
        here.setdefault(job_id, []).append(future)
        self._asked_s = time.monotonic()
        try:
            # Reading first, looking second: what ends in between is seen by both, never by none.
            await self._read(queue)
            ended = await self._look(queue, job_id, future)
            if ended is None:
                ended = await self._until_ended(queue, job_id, future, timeout_s)
        except TimeoutError:
            raise ResultTimeoutError(
                f"job {job_id!r} of queue {queue!r} has not finished within {timeout_s} s:"
                f" {await who_works(self._backend, queue)}",
                job_id=job_id,
                queue=queue,
            ) from None
        finally:
            here[job_id].remove(future)
            if not here[job_id]:
                del here[job_id]
            if future.done() and not future.cancelled():
                future.exception()  # looked at, whoever was quicker
            future.cancel()
        if ended.state is State.FAILED:
            raise JobFailedError(ended.value, job_id=job_id, queue=queue)
        return ended.value

    async def _until_ended(
        self, queue: str, job_id: str, future: asyncio.Future[Ended], timeout_s: float | None
    ) -> Ended:
        """Wait for the events to tell, and look now and then: a drained job leaves none.

        Whether the queue tells how jobs end is asked after the first pause, as most end in it, and
        before each look from there on, as it may fall silent meanwhile. From then on there are
        looks, and still the events, should it speak again.
        """
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        # A job of a fallback store may end in either store: events of one are not enough.
        pause_s, is_silent = FIRST_LOOK_S, is_spool_id(job_id)
        while True:
            left_s = until_s - time.monotonic()
            done, _ = await asyncio.wait([future], timeout=max(0.0, min(pause_s, left_s)))
            if done:
                return await future
            is_silent = is_silent or await self._is_silent(queue)
            if is_silent or pause_s == LOOK_AGAIN_S:
                ended = await self._look(queue, job_id, future)
                if ended is not None:
                    return ended
            if left_s <= pause_s:
                raise TimeoutError
            pause_s = min(2 * pause_s, SELDOM_LOOK_S) if is_silent else LOOK_AGAIN_S

    async def _is_silent(self, queue: str) -> bool:
        record = await self._backend.counts.queue(queue)
        return record is not None and record.events == "none"

    async def close(self) -> None:
        """End the readers, and the waiting.

        Those who wait get a `BackendClosedError`.
        """
        readers, self._readers = list(self._readers.values()), {}
        for reader in readers:
            reader.cancel()
            with suppress(asyncio.CancelledError, BackendError):
                await reader
        for queue, here in self._waiting.items():
            self._disappoint(here, BackendClosedError(f"queue {queue!r}: the app was closed"))

    async def _look(self, queue: str, job_id: str, future: asyncio.Future[Ended]) -> Ended | None:
        if future.done():
            return await future
        record = await self._backend.jobs.get(queue, job_id)
        if record is None:
            if future.done():
                return await future
            ended = await self._remembered(queue, job_id)
            if ended is None:
                raise _gone(queue, job_id)
            return ended
        if record.state is State.COMPLETED:
            return Ended(State.COMPLETED, record.result or "null")
        if record.state is State.FAILED:
            return Ended(State.FAILED, record.failed_reason or "")
        return None

    async def _remembered(self, queue: str, job_id: str) -> Ended | None:
        """Return how a job ended that is not kept, as far as the events go back."""
        found = None
        async for event in follow(self._backend.events, queue, after=0, until_idle=True):
            if event.job_id == job_id:
                found = _ended(event) or found
        return found

    async def _read(self, queue: str) -> None:
        """Make sure that the queue's events are read, from before now."""
        reader = self._readers.get(queue)
        if reader is None or reader.done():
            position = await self._backend.events.latest(queue)
            reader = self._readers.get(queue)
            if reader is None or reader.done():
                # A context of its own: it outlives the job, or request, that happens to ask first.
                self._readers[queue] = asyncio.create_task(
                    self._follow(queue, position),
                    name="toril-results",
                    context=contextvars.Context(),
                )

    async def _follow(self, queue: str, position: int) -> None:
        try:
            await self._resolve(queue, position)
        except BackendError as error:
            self._disappoint(self._waiting.get(queue, {}), error)

    def _disappoint(
        self, here: dict[str, list[asyncio.Future[Ended]]], error: BackendError
    ) -> None:
        for futures in here.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    async def _resolve(self, queue: str, position: int) -> None:
        async for page in pages(self._backend.events, queue, after=position):
            here = self._waiting.get(queue, {})
            if not here and time.monotonic() - self._asked_s > NOBODY_S:
                return  # the next one who waits starts a new reader
            if here and not await self._follows_on(queue, position, page[0]):
                await self._look_again(queue, here)
            for event in page:
                await self._hear(queue, here, event)
            position = page[-1].position

    async def _follows_on(self, queue: str, position: int, event: EventRecord) -> bool:
        """Whether nothing was dropped between a position and the event that was read next.

        The oldest go first, so nothing was if the event at that position is still there.
        """
        if event.position == position + 1:
            return True
        if not 0 < position < event.position:  # the log began, or began anew
            return False
        before = await self._backend.events.read(queue, after=position - 1, limit=1, wait_s=0)
        return bool(before) and before[0].position == position

    async def _hear(
        self, queue: str, here: dict[str, list[asyncio.Future[Ended]]], event: EventRecord
    ) -> None:
        if event.name == EventName.CLEANED:  # it does not say which
            await self._look_again(queue, here)
            return
        ended = _ended(event)
        for future in here.get(event.job_id or "", ()):
            if future.done():
                continue
            if ended is not None:
                future.set_result(ended)
            elif event.name == EventName.REMOVED:
                future.set_exception(_gone(queue, event.job_id or ""))

    async def _look_again(self, queue: str, here: dict[str, list[asyncio.Future[Ended]]]) -> None:
        """Look at each job: events were dropped before we came to read them."""
        for job_id, futures in list(here.items()):
            for future in list(futures):
                try:
                    ended = None if future.done() else await self._look(queue, job_id, future)
                except JobNotFoundError as error:
                    if not future.done():
                        future.set_exception(error)
                    continue
                if ended is not None and not future.done():
                    future.set_result(ended)


def _ended(event: EventRecord) -> Ended | None:
    if event.name == EventName.COMPLETED:
        return Ended(State.COMPLETED, event.fields.get("returnvalue", "null"))
    if event.name == EventName.FAILED:
        return Ended(State.FAILED, event.fields.get("failedReason", ""))
    return None


def _gone(queue: str, job_id: str) -> JobNotFoundError:
    return JobNotFoundError(
        f"queue {queue!r} has no job {job_id!r}: it was removed, or finished and not kept",
        job_id=job_id,
        queue=queue,
    )
