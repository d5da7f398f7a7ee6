"""What people do to queues: pause, drain, clean, retry, limit, silence. All in bounded chunks.

No chunk holds the store for long, so a worker goes on beside them even at a million jobs. Each verb
that works on many can be given up half-way and asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import get_args

from toril.core.checks import require
from toril.core.durations import seconds
from toril.core.ids import check_queue_name
from toril.engine.contract import Backend, DeadLetterRule
from toril.engine.deduplication import check_deduplication_id
from toril.engine.events import EventsTold
from toril.engine.options import RateLimit
from toril.engine.states import FINISHED, LOOSE, State

CHUNK = 500
"""Jobs in one call of the store."""

Progress = Callable[[int], None]
"""Told how many are done so far."""


class Operator:
    """The verbs for one queue."""

    def __init__(self, backend: Callable[[], Backend], name: str) -> None:
        self._open = backend
        self.name = name

    async def pause(self) -> None:
        """Stop claims on all workers; running jobs go on."""
        await self._open().limits.pause(self.name)

    async def resume(self) -> None:
        """Allow claims again."""
        await self._open().limits.resume(self.name)

    async def set_concurrency(self, limit: int | None) -> None:
        """Let at most `limit` jobs run at once over all workers. None: no limit."""
        require(limit is None or limit >= 1, "limit", limit, "an integer from 1, or None")
        await self._open().limits.set_concurrency(self.name, limit)

    async def set_rate(self, rate: RateLimit | None) -> None:
        """Let at most so many jobs start in a window, over all workers. None: no limit."""
        limit, window_s = (None, 1.0) if rate is None else (rate.limit, rate.window_s)
        await self._open().limits.set_rate(self.name, limit, round(window_s * 1000))

    async def hold(self, duration: float | timedelta) -> None:
        """Let no job start for a while (seconds). 0 ends it."""
        duration_s = seconds(duration, "duration")
        await self._open().limits.hold(self.name, duration_ms=round(duration_s * 1000))

    async def release_deduplication(self, deduplication_id: str) -> bool:
        """Let the next job have a de-duplication id; return whether one held it.

        A job that was put aside for it stays so until the holder has finished.

        Raises:
            InvalidOptionError: It can be no such id.
        """
        check_deduplication_id(deduplication_id)
        return await self._open().jobs.release_deduplication(self.name, deduplication_id)

    async def set_dead_letter(
        self, queue: str | None, *, keep: float | timedelta | None = None
    ) -> None:
        """Have jobs of this queue that fail for good leave a letter in another queue.

        It counts for all workers within a second, and for failures from then on. A task that names
        a dead-letter queue itself goes before.

        Parameters:
            queue: The dead-letter queue. None: failures leave no letters any more.
            keep: Letters that are older are removed, in seconds or as a timedelta. None: never.

        Raises:
            InvalidOptionError: It is this queue itself, or no queue can have that name, or in a
                Redis Cluster the two are in different slots.
        """
        if queue is None:
            await self._open().dead_letters.set_rule(self.name, None)
            return
        check_queue_name(queue)
        require(queue != self.name, "queue", queue, "another queue than the one that fails")
        backend = self._open()
        keep_ms = None if keep is None else round(seconds(keep, "keep") * 1000)
        await backend.dead_letters.rule(self.name)  # a Cluster is known once it was asked
        require(
            backend.dispatch.together((self.name, queue)),
            "queue",
            queue,
            f"one in the same slot of the Redis Cluster as {self.name!r}: give both names the same"
            " part in braces, such as '{shop}mail' and '{shop}dead'",
        )
        await backend.dead_letters.set_rule(self.name, DeadLetterRule(queue, keep_ms))

    async def set_events(self, told: EventsTold) -> None:
        """Say which events are written from now on, whoever causes them. A new queue writes all.

        Parameters:
            told: `all`. `outcomes`: all but the ordinary life of jobs, which is `added`, `waiting`,
                `delayed`, `waiting-children`, `active` and `drained`. `none`: nothing; whoever
                waits for a result then looks at the job every so often, and a result that is not
                kept is lost.
        """
        require(told in get_args(EventsTold), "told", told, "'all', 'outcomes' or 'none'")
        await self._open().events.choose(self.name, told)

    async def drain(self, *, delayed: bool = False, progress: Progress | None = None) -> int:
        """Remove all jobs in line and, if `delayed`, those due later; return how many."""
        jobs = self._open().jobs
        return await _chunks(
            lambda: jobs.drain(self.name, delayed=delayed, limit=CHUNK), None, progress
        )

    async def clean(
        self,
        state: State | str,
        *,
        older_than: float | timedelta = 0.0,
        limit: int | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Remove jobs of one state; return how many.

        Parameters:
            state: Any but `active` and `waiting-children`.
            older_than: Only those that finished (or were added) longer ago, in seconds.
            limit: At most so many. None: all.
            progress: Told how many are done so far.
        """
        wanted = parse_state(state)
        require(wanted in LOOSE, "state", str(wanted), f"one of {', '.join(LOOSE)}")
        age_ms = round(seconds(older_than, "older_than") * 1000)
        jobs = self._open().jobs

        def chunk(many: int = CHUNK) -> Awaitable[int]:
            return jobs.clean(self.name, wanted, older_than_ms=age_ms, limit=many)

        return await _chunks(chunk, limit, progress)

    async def retry_all(
        self,
        state: State | str = State.FAILED,
        *,
        limit: int | None = None,
        reset_attempts: bool = True,
        progress: Progress | None = None,
    ) -> int:
        """Put finished jobs back in line, oldest first; return how many.

        Those that fail again meanwhile are left where they are.

        Parameters:
            state: `failed` or `completed`.
            limit: At most so many. None: all.
            reset_attempts: Give each its full number of attempts again.
            progress: Told how many are done so far.
        """
        wanted = parse_state(state)
        require(wanted in FINISHED, "state", state, "'failed' or 'completed'")
        backend = self._open()
        until_ms = backend.clock.now_ms()

        def chunk(many: int = CHUNK) -> Awaitable[int]:
            return backend.jobs.retry_many(
                self.name,
                wanted,
                limit=many,
                finished_until_ms=until_ms,
                reset_attempts=reset_attempts,
            )

        return await _chunks(chunk, limit, progress)

    async def promote_all(
        self, *, limit: int | None = None, progress: Progress | None = None
    ) -> int:
        """Make delayed jobs ready now, soonest first; return how many."""
        jobs = self._open().jobs

        def chunk(many: int = CHUNK) -> Awaitable[int]:
            return jobs.promote_many(self.name, limit=many)

        return await _chunks(chunk, limit, progress)

    async def obliterate(self, *, force: bool = False, progress: Progress | None = None) -> int:
        """Remove the queue with all that it holds; return how many jobs there were.

        Raises:
            WrongStateError: It is not paused, or jobs run and `force` is not set.
        """
        jobs = self._open().jobs
        total = 0
        # Until nothing is left, and once more for the queue itself.
        while done := await jobs.obliterate(self.name, force=force, limit=CHUNK):
            total += done
            if progress is not None:
                progress(total)
            await asyncio.sleep(0)
        return total


async def _chunks(
    chunk: Callable[..., Awaitable[int]], limit: int | None, progress: Progress | None
) -> int:
    """Ask for chunk after chunk until one is not full, or `limit` is reached."""
    require(limit is None or limit >= 0, "limit", limit, "an integer from 0, or None")
    total = 0
    while limit is None or total < limit:
        many = CHUNK if limit is None else min(CHUNK, limit - total)
        done = await (chunk() if limit is None else chunk(many))
        total += done
        if progress is not None:
            progress(total)
        if done < many:
            break
        await asyncio.sleep(0)  # others are let in between two chunks
    return total


def parse_state(state: State | str) -> State:
    """Return the state of that name.

    Raises:
        InvalidOptionError: There is none.
    """
    words = [str(known) for known in State]
    require(state in words, "state", str(state), f"one of {', '.join(words)}")
    return State(state)
