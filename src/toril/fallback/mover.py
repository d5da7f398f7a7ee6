"""Moves what is in the spool to Redis, each job once.

A job leaves its line in the spool before Redis is given it, and is written down as a call that
Redis carries out once, however often it is sent. Whatever dies in between, the next pass goes on
from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from toril.core.errors import BackendError, StoreUnreachableError
from toril.core.loggers import logger
from toril.engine.contract import JobFilter
from toril.engine.contract.counts import QueueRecord
from toril.engine.job import JobRecord, WholeJob
from toril.engine.repeats import CallId, Repeats
from toril.engine.spool_ids import new_book
from toril.engine.states import State
from toril.engine.sweeper import take_back
from toril.fallback.lock import MoveLock
from toril.fallback.spool import Entry, Spool

log = logger("toril.fallback")
T = TypeVar("T")

CHUNK = 200
"""Jobs of one call."""
ANSWER_S = 5.0
"""For how long Redis may take to answer such a call."""
SAY_AGAIN_S = 60.0
"""A queue that Redis refuses is complained of again after so long."""
MOVABLE = (State.WAIT, State.PRIORITIZED, State.DELAYED, State.FAILED, State.COMPLETED)


class Mover:
    """Moves jobs, in the keeper's thread."""

    def __init__(
        self,
        spool: Spool,
        repeats: Repeats,
        lock: MoveLock,
        *,
        max_stalled: int,
        probe: Callable[[], Awaitable[BackendError | None]],
    ) -> None:
        """Make it.

        Parameters:
            spool: Where the jobs are.
            repeats: Where to.
            lock: Held during each pass.
            max_stalled: How often a job may lose its worker before it fails.
            probe: Looks whether Redis can be written; returns why it cannot.
        """
        self._spool = spool
        self._repeats = repeats
        self._lock = lock
        self._max_stalled = max_stalled
        self._probe = probe
        self._book = new_book()
        self._number = 0
        self._stuck_until_s: dict[str, float] = {}

    async def pass_over(self) -> int | None:
        """Move all that can move now; return how many jobs. None: another process does it.

        No job of the spool starts from then on, until `open_again`.

        Raises:
            BackendError: Redis cannot be written, or the spool not.
        """
        with self._lock.tried() as mine:
            if not mine:
                return None
            moved = 0
            await take_back(self._spool.backend.dispatch, max_stalled=self._max_stalled)
            for queue in await self._spool.queues():
                if not queue.paused:
                    await self._spool.backend.limits.pause(queue.name, moving=True)
            moved += await self._make_calls()
            for queue in await self._spool.queues():
                moved += await self._move_queue(queue)
            await self._spool.trim()
            return moved

    async def open_again(self) -> None:
        """Let the jobs of the spool start again, but for those that Redis may have by now."""
        with self._lock.tried() as mine:
            if not mine:
                return
            async for _, entry in self._spool.calls():
                await self._leave_lines(entry)
            for queue in await self._spool.queues():
                if queue.paused:
                    await self._spool.backend.limits.resume(queue.name)

    async def _make_calls(self) -> int:
        """Have Redis carry out the calls that wait, oldest first."""
        moved = 0
        waiting = [one async for one in self._spool.calls()]
        for key, entry in waiting:
            try:
                moved += await self._make_call(key, entry)
            except BackendError as error:
                await self._bear(entry.queue, error)
        return moved

    async def _make_call(self, key: str, entry: Entry) -> int:
        if entry.whole:
            await self._leave_lines(entry)
            await self._adopt(entry)
        else:
            await self._add(entry)
        await self._spool.drop_call(key)
        return len(entry.whole) + len(entry.jobs)

    async def _add(self, entry: Entry) -> None:
        jobs = [
            msgspec.structs.replace(job, job_id=told)
            for job, told in zip(entry.jobs, entry.ids, strict=True)
        ]
        answers = await _within(self._repeats.add(entry.call, jobs))
        for job, told, answer in zip(entry.jobs, entry.ids, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            if answer.job_id != told:
                await self._spool.remember(job.queue, told, answer.job_id)

    async def _adopt(self, entry: Entry) -> None:
        answers = await _within(self._repeats.adopt(entry.call, entry.queue, entry.whole))
        for job, adopted in zip(entry.whole, answers, strict=True):
            if not adopted:
                log.info(
                    "job %s of queue %r was not moved: Redis has a job of this id",
                    job.record.id,
                    entry.queue,
                )

    async def _leave_lines(self, entry: Entry) -> None:
        """Make sure that jobs of a call are in no line of the spool."""
        by_state: dict[State, list[str]] = {}
        for job in entry.whole:
            by_state.setdefault(job.record.state, []).append(job.record.id)
        for state, ids in by_state.items():
            await self._spool.backend.moving.remove(entry.queue, state, ids)

    async def _move_queue(self, queue: QueueRecord) -> int:
        if self._stuck_until_s.get(queue.name, 0.0) > time.monotonic():
            return 0
        moved = 0
        for state in MOVABLE:
            while queue.counts[state]:
                page = await self._spool.backend.jobs.page(
                    JobFilter(queue=queue.name, states=(state,), limit=CHUNK)
                )
                if not page.jobs:
                    break
                try:
                    moved += await self._move(queue.name, page.jobs)
                except BackendError as error:
                    await self._bear(queue.name, error)
                    return moved
        return moved

    async def _move(self, queue: str, jobs: list[JobRecord]) -> int:
        moving = self._spool.backend.moving
        ids = [job.id for job in jobs]
        logs, held = await moving.logs(queue, ids), await moving.held_ids(queue, ids)
        whole = [WholeJob(*parts) for parts in zip(jobs, logs, held, strict=True)]
        self._number += 1
        call = CallId(self._book, self._number)
        key = await self._spool.keep_whole(call, queue, whole)
        return await self._make_call(key, Entry(call=call, queue=queue, whole=whole))

    async def _bear(self, queue: str, error: BackendError) -> None:
        """Go on after Redis refused one queue; raise if it cannot be written at all."""
        trouble = await self._probe()
        if trouble is not None:
            raise trouble
        if isinstance(error, StoreUnreachableError):
            raise error
        now_s = time.monotonic()
        if self._stuck_until_s.get(queue, 0.0) <= now_s:
            self._stuck_until_s[queue] = now_s + SAY_AGAIN_S
            log.error(
                "jobs of queue %r cannot move to Redis, and stay in the spool: %s", queue, error
            )


async def _within(call: Awaitable[T]) -> T:
    """Return what Redis answers.

    Raises:
        StoreUnreachableError: It takes too long.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            return await call
    except TimeoutError:
        raise StoreUnreachableError(
            f"Redis did not answer for {ANSWER_S:g} s during the move.", sent=True
        ) from None
