"""What people do to queues: pause, drain, clean, retry, limit, silence.

Each call is told with who made it and why (`operations.py`). Calls that change many jobs work in
bounded chunks. No chunk holds the store for long, so workers go on beside them even at a million
jobs; a call can be given up half-way and made again.

Read next: `job_operator.py` (a single job), `store_operator.py` (the store as a whole).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, get_args

from toril.core.checks import require
from toril.core.durations import seconds
from toril.core.ids import check_queue_name
from toril.engine.contract import DeadLetterRule
from toril.engine.deduplication import check_deduplication_id
from toril.engine.events import EventsTold
from toril.engine.operations import Operation
from toril.engine.options import RateLimit
from toril.engine.producer import Producer
from toril.engine.states import FINISHED, LOOSE, State

CHUNK = 500
"""Jobs in one call of the store."""

Progress = Callable[[int], None]
"""Told how many are done so far."""


class Operator:
    """The verbs for one queue."""

    def __init__(self, producer: Producer, name: str) -> None:
        self._producer = producer
        self._open = producer.backend
        self.name = name

    async def pause(self) -> None:
        """Stop claims on all workers; running jobs go on."""
        async with self._setting("pause"):
            await self._open().limits.pause(self.name)

    async def resume(self) -> None:
        """Allow claims again."""
        async with self._setting("resume"):
            await self._open().limits.resume(self.name)

    async def set_concurrency(self, limit: int | None) -> None:
        """Let at most `limit` jobs run at once over all workers. None: no limit."""
        require(limit is None or limit >= 1, "limit", limit, "an integer from 1, or None")
        async with self._setting("set_concurrency", limit=limit):
            await self._open().limits.set_concurrency(self.name, limit)

    async def set_rate(self, rate: RateLimit | None) -> None:
        """Let at most so many jobs start in a window, over all workers. None: no limit."""
        limit, window_s = (None, 1.0) if rate is None else (rate.limit, rate.window_s)
        async with self._setting("set_rate", limit=limit, window_s=window_s):
            await self._open().limits.set_rate(self.name, limit, round(window_s * 1000))

    async def hold(self, duration: float | timedelta) -> None:
        """Let no job start for a while (seconds). 0 ends it."""
        duration_s = seconds(duration, "duration")
        async with self._setting("hold", duration_s=duration_s):
            await self._open().limits.hold(self.name, duration_ms=round(duration_s * 1000))

    async def release_deduplication(self, deduplication_id: str) -> bool:
        """Let the next job have a de-duplication id; return whether one held it.

        A job that was put aside for it stays so until the holder has finished.

        Raises:
            InvalidOptionError: It can be no such id.
        """
        check_deduplication_id(deduplication_id)
        backend = self._open()
        async with self._doing("release_deduplication", deduplication_id=deduplication_id) as doing:
            doing.changed = await backend.deduplication.release(self.name, deduplication_id)
        return doing.changed

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
        backend, rule = self._open(), None
        if queue is not None:
            check_queue_name(queue)
            require(queue != self.name, "queue", queue, "another queue than the one that fails")
            keep_ms = None if keep is None else round(seconds(keep, "keep") * 1000)
            await backend.dead_letters.rule(self.name)  # a Cluster is known once it was asked
            require(
                backend.dispatch.together((self.name, queue)),
                "queue",
                queue,
                f"one in the same slot of the Redis Cluster as {self.name!r}: give both names the"
                " same part in braces, such as '{shop}mail' and '{shop}dead'",
            )
            rule = DeadLetterRule(queue, keep_ms)
        async with self._setting("set_dead_letter", dead_letter=queue):
            await backend.dead_letters.set_rule(self.name, rule)

    async def set_events(self, told: EventsTold) -> None:
        """Say which events are written from now on, whoever causes them. A new queue writes all.

        Parameters:
            told: `all`. `outcomes`: all but the ordinary life of jobs, which is `added`, `waiting`,
                `delayed`, `waiting-children`, `active` and `drained`. `none`: nothing; whoever
                waits for a result then looks at the job every so often, and a result that is not
                kept is lost.
        """
        require(told in get_args(EventsTold), "told", told, "'all', 'outcomes' or 'none'")
        async with self._setting("set_events", told=told):
            await self._open().events.choose(self.name, told)

    async def drain(self, *, delayed: bool = False, progress: Progress | None = None) -> int:
        """Remove all jobs in line and, if `delayed`, those due later; return how many."""
        bulk = self._open().bulk

        def chunk(many: int) -> Awaitable[int]:
            return bulk.drain(self.name, delayed=delayed, limit=many)

        async with self._doing("drain", delayed=delayed) as doing:
            return await _chunks(chunk, None, doing, progress)

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
        bulk = self._open().bulk

        def chunk(many: int) -> Awaitable[int]:
            return bulk.clean(self.name, wanted, older_than_ms=age_ms, limit=many)

        given = {"state": str(wanted), "older_than_s": age_ms / 1000, "limit": limit}
        async with self._doing("clean", **given) as doing:
            return await _chunks(chunk, limit, doing, progress)

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

        def chunk(many: int) -> Awaitable[int]:
            return backend.bulk.retry(
                self.name,
                wanted,
                limit=many,
                finished_until_ms=until_ms,
                reset_attempts=reset_attempts,
            )

        given = {"state": str(wanted), "limit": limit, "reset_attempts": reset_attempts}
        async with self._doing("retry_all", **given) as doing:
            return await _chunks(chunk, limit, doing, progress)

    async def promote_all(
        self, *, limit: int | None = None, progress: Progress | None = None
    ) -> int:
        """Make delayed jobs ready now, soonest first; return how many."""
        bulk = self._open().bulk

        def chunk(many: int) -> Awaitable[int]:
            return bulk.promote(self.name, limit=many)

        async with self._doing("promote_all", limit=limit) as doing:
            return await _chunks(chunk, limit, doing, progress)

    async def obliterate(self, *, force: bool = False, progress: Progress | None = None) -> int:
        """Remove the queue with all that it holds; return how many jobs there were.

        Raises:
            WrongStateError: It is not paused, or jobs run and `force` is not set.
        """
        bulk = self._open().bulk
        async with self._doing("obliterate", force=force) as doing:
            doing.count = 0
            # Until nothing is left, and once more for the queue itself.
            while done := await bulk.obliterate(self.name, force=force, limit=CHUNK):
                doing.count += done
                if progress is not None:
                    progress(doing.count)
                await asyncio.sleep(0)
            return doing.count

    def _doing(self, verb: str, **arguments: Any) -> AbstractAsyncContextManager[Operation]:
        return self._producer.operations.doing(verb, self.name, **arguments)

    def _setting(self, verb: str, **arguments: Any) -> AbstractAsyncContextManager[Operation]:
        """The same for what changes a setting, which is recorded as it was and as it is."""
        return self._producer.operations.doing(verb, self.name, look=self._settings, **arguments)

    async def _settings(self) -> dict[str, Any] | None:
        backend = self._open()
        queue = await backend.counts.queue(self.name)
        if queue is None:
            return None
        rule = await backend.dead_letters.rule(self.name)
        return {
            "paused": queue.paused,
            "concurrency": queue.concurrency,
            "rate_limit": queue.rate_limit,
            "rate_window_ms": queue.rate_window_ms,
            "held_ms": queue.held_ms(),
            "events": queue.events,
            "dead_letter": rule and rule.queue,
            "dead_letter_keep_ms": rule and rule.keep_ms,
        }


async def _chunks(
    chunk: Callable[[int], Awaitable[int]],
    limit: int | None,
    doing: Operation,
    progress: Progress | None,
) -> int:
    """Ask for chunk after chunk until one is not full, or `limit` is reached."""
    require(limit is None or limit >= 0, "limit", limit, "an integer from 0, or None")
    doing.count = 0
    while limit is None or doing.count < limit:
        many = CHUNK if limit is None else min(CHUNK, limit - doing.count)
        done = await chunk(many)
        doing.count += done
        if progress is not None:
            progress(doing.count)
        if done < many:
            break
        await asyncio.sleep(0)  # others are let in between two chunks
    return doing.count


def parse_state(state: State | str) -> State:
    """Return the state of that name.

    Raises:
        InvalidOptionError: There is none.
    """
    words = [str(known) for known in State]
    require(state in words, "state", str(state), f"one of {', '.join(words)}")
    return State(state)
