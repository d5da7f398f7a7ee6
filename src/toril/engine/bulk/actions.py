"""Begins operations on many jobs, and says beforehand what they would do."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from toril.core.checks import check_text, require
from toril.core.durations import seconds
from toril.core.errors import InvalidOptionError
from toril.core.ids import check_existing_queue_name, check_queue_name
from toril.engine.bulk.driver import Driver
from toril.engine.bulk.exporting import found_jobs, lines_of, write_lines
from toril.engine.bulk.handle import BulkOperation
from toril.engine.bulk.info import OperationInfo, OperationPreview, operation_info, wish_of
from toril.engine.bulk.keeper import OperationKeeper
from toril.engine.bulk.wish import MAX_IDS, Action, Wish, fitted
from toril.engine.contract import Backend
from toril.engine.info import JobInfo
from toril.engine.job import JobRecord
from toril.engine.operations import current
from toril.engine.producer import Producer
from toril.engine.search.plan import looked_up, stretches
from toril.engine.search.query import Query
from toril.engine.search.searcher import LOOKED_UP, Searcher
from toril.engine.texts import beginning

KEEP_S = 600.0
"""For how long removed jobs can be put back: ten minutes."""
SAMPLES = 10
LISTED = 50


class Bulk:
    """Operations on many jobs of a store.

    An operation is stored before anything is changed, and goes on after a kill: whoever `run`s it,
    or any worker of the store, drives it. It is for the jobs that there were when it began.
    """

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._store = producer.backend
        self._told = producer.operations
        self._driver = Driver(producer.backend, producer.operations)
        self._searcher = Searcher(producer.backend)

    async def retry(
        self,
        query: str | None = None,
        *,
        queue: str | None = None,
        ids: Iterable[str] | None = None,
        reset_attempts: bool = True,
        max_per_s: float | None = None,
    ) -> BulkOperation:
        """Begin to put finished jobs back in line: those that have failed, if no state is named.

        Parameters:
            query: A search that finds them; see `App.search`.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids, at most 10,000.
            reset_attempts: Give each its full number of attempts again.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.

        Raises:
            QueryError: The search cannot be read.
            InvalidOptionError: The search names a state in which this is not allowed, or there is
                neither a search nor ids, or both.
        """
        return await self._begin(
            "retry", query, queue, ids, max_per_s, reset_attempts=reset_attempts
        )

    async def remove(
        self,
        query: str | None = None,
        *,
        queue: str | None = None,
        ids: Iterable[str] | None = None,
        keep: float | timedelta = KEEP_S,
        max_per_s: float | None = None,
    ) -> BulkOperation:
        """Begin to remove jobs that no worker holds, and that wait for no children.

        Parameters:
            query: A search that finds them; see `App.search`.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids, at most 10,000.
            keep: For how long each can be put back by `BulkOperation.undo`, in seconds or as a
                timedelta. 0: they are gone at once.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.

        Raises:
            QueryError: The search cannot be read.
            InvalidOptionError: As for `retry`.
        """
        keep_ms = round(seconds(keep, "keep") * 1000)
        return await self._begin("remove", query, queue, ids, max_per_s, keep_ms=keep_ms)

    async def promote(
        self,
        query: str | None = None,
        *,
        queue: str | None = None,
        ids: Iterable[str] | None = None,
        max_per_s: float | None = None,
    ) -> BulkOperation:
        """Begin to make delayed jobs ready now; parameters and errors as `retry`."""
        return await self._begin("promote", query, queue, ids, max_per_s)

    async def cancel(
        self,
        query: str | None = None,
        *,
        queue: str | None = None,
        ids: Iterable[str] | None = None,
        reason: str | None = None,
        max_per_s: float | None = None,
    ) -> BulkOperation:
        """Begin to stop jobs for good: at once if they wait, and wherever they run.

        Parameters:
            query: A search that finds them; see `App.search`.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids, at most 10,000.
            reason: Kept with each. Default: the reason given to `acting`, else "cancelled".
            max_per_s: Jobs a second at most. None: as fast as the store takes them.

        Raises:
            QueryError: The search cannot be read.
            InvalidOptionError: As for `retry`.
        """
        why = beginning(reason if reason is not None else current().reason or "cancelled")
        return await self._begin("cancel", query, queue, ids, max_per_s, cancel_reason=why)

    async def move(
        self,
        query: str | None = None,
        *,
        to: str,
        queue: str | None = None,
        ids: Iterable[str] | None = None,
        max_per_s: float | None = None,
    ) -> BulkOperation:
        """Begin to move jobs to another queue; if no state is named, those that have not begun.

        A job keeps all that it has, its id as well unless a job there has that. Jobs of flows, and
        the next jobs of schedules, stay.

        Parameters:
            query: A search that finds them; see `App.search`.
            to: The other queue. It need not be there yet.
            queue: In place of a search: the queue of jobs that are named by id.
            ids: Their ids, at most 10,000.
            max_per_s: Jobs a second at most. None: as fast as the store takes them.

        Raises:
            QueryError: The search cannot be read.
            InvalidOptionError: As for `retry`; or no queue can have that name, or in a Redis
                Cluster it lies in another slot than the jobs.
        """
        check_queue_name(to)
        return await self._begin("move", query, queue, ids, max_per_s, target=to)

    async def preview(
        self, action: Action, query: str, *, budget: float | timedelta = 2.0
    ) -> OperationPreview:
        """Return how many jobs an operation would change, and ten of them. Nothing is changed.

        Parameters:
            action: `retry`, `remove`, `promote`, `cancel` or `move`.
            query: The search that would find them.
            budget: How long to count, in seconds or as a timedelta.

        Raises:
            QueryError: The search cannot be read.
            InvalidOptionError: The search names a state in which this is not allowed.
        """
        until_s = time.monotonic() + seconds(budget, "budget")
        wanted = fitted(action, query)
        records = await self._searcher.queues(wanted)
        counts = {record.name: record.counts for record in records}
        start = self._searcher.start(wanted)
        found = stretches(wanted, list(counts), start.now_ms)
        at_most = sum(counts[one.queue][one.state] for one in found)
        known = looked_up(wanted) is None and all(
            one.every and one.since_ms is None and one.until_ms is None for one in found
        )
        samples: list[JobRecord] = []
        count, exact = 0, True
        looks = self._searcher.looks(wanted, start, room=lambda: 1000, oldest_first=True)
        async with aclosing(looks):
            async for look in looks:
                samples += look.found[: SAMPLES - len(samples)]
                count += len(look.found)
                exact = look.cursor is None
                if time.monotonic() >= until_s or (known and len(samples) == SAMPLES):
                    break
        return OperationPreview(
            action=action,
            query=str(wanted),
            count=at_most if known else count,
            exact=known or exact,
            at_most=at_most,
            samples=[JobInfo.from_record(record) for record in samples],
        )

    async def export(
        self,
        query: str,
        path: str | Path,
        *,
        max_per_s: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Write the jobs that a search finds to a file, one JSON object a line; return how many.

        The file is there once it is whole: until then it has a name of its own beside it.

        Parameters:
            query: The search; see `App.search`.
            path: The file. One that is there is replaced.
            max_per_s: Jobs a second at most. None: as fast as the store gives them.
            progress: Told how many are written so far.

        Raises:
            QueryError: The search cannot be read.
            OSError: The file cannot be written.
        """
        async with self._told.doing("bulk.export", query=query, path=str(path)) as doing:
            async with aclosing(self.whole(query)) as found:
                doing.count = await write_lines(
                    lines_of(found), Path(path), max_per_s=max_per_s, progress=progress
                )
        return doing.count

    def whole(self, query: str) -> AsyncGenerator[list[JobInfo], None]:
        """Yield the jobs that a search finds, whole, some at a time: what an export is made of.

        Parameters:
            query: The search; see `App.search`.

        Raises:
            QueryError: The search cannot be read.
        """
        return found_jobs(self._searcher, query)

    async def keep(self) -> None:
        """Drive what nobody drives, as workers do, until cancelled."""
        await OperationKeeper(self._store(), self._told).run()

    def operation(self, operation_id: str) -> BulkOperation:
        """Return a handle of an operation, whether it exists or not."""
        check_text(operation_id, "operation_id")
        return BulkOperation(self._producer, self._driver, operation_id)

    async def list(self, *, limit: int = LISTED) -> Sequence[OperationInfo]:
        """Return the newest operations, newest first. They are known for a week.

        Parameters:
            limit: How many, 1 to 1,000.
        """
        require(1 <= limit <= 1000, "limit", limit, "an integer from 1 to 1,000")
        operations = self._store().operations
        found = []
        for record in await operations.newest(limit=limit):
            wish = wish_of(record)
            steps = await operations.steps(record.id, wish.queues)
            found.append(operation_info(record, wish, steps))
        return found

    async def _begin(
        self,
        action: Action,
        query: str | None,
        queue: str | None,
        ids: Iterable[str] | None,
        max_per_s: float | None,
        **more: Any,
    ) -> BulkOperation:
        good = max_per_s is None or max_per_s > 0
        require(good, "max_per_s", max_per_s, "jobs a second, above 0, or None")
        store = self._store()
        wanted: Query | None = None
        selected: dict[str, Sequence[str]] = {}
        if query is not None and queue is None and ids is None:
            wanted = fitted(action, query)
            records = await self._searcher.queues(wanted)
            queues = [record.name for record in records]
            found = stretches(wanted, queues, store.clock.now_ms())
            counts = {record.name: record.counts for record in records}
            at_most = sum(counts[one.queue][one.state] for one in found)
            if looked_up(wanted) is not None:
                selected = await self._selected(wanted)
                wanted, queues = None, list(selected)
                at_most = sum(map(len, selected.values()))
        elif query is None and queue is not None and ids is not None:
            selected = {check_existing_queue_name(queue): _checked(ids)}
            queues, at_most = list(selected), len(selected[queue])
        else:
            raise InvalidOptionError(
                f"bulk.{action}: expected a search, or queue= and ids=, and not both"
            )
        target = more.get("target", "")
        if target:
            self._check_target(store, target, queues)
        acts = current()
        wish = Wish(
            action=action,
            query=None if wanted is None else str(wanted),
            asked=query,
            selected=selected,
            queues=queues,
            at_most=at_most,
            now_ms=store.clock.now_ms(),
            max_per_s=max_per_s,
            actor=acts.actor,
            reason=acts.reason,
            **more,
        )
        operation_id = secrets.token_hex(6)
        given: dict[str, Any] = {
            "operation": operation_id,
            "query": query,
            "queues": queues,
            "at_most": at_most,
        }
        if target:
            given["to"] = target
        async with self._told.doing(f"bulk.{action}", queue, **given):
            await store.operations.add(operation_id, msgspec.json.encode(wish).decode())
        return BulkOperation(self._producer, self._driver, operation_id)

    async def _selected(self, query: Query) -> dict[str, Sequence[str]]:
        """Return the jobs that a search names by id and that it means, by queue."""
        selected: dict[str, Sequence[str]] = {}
        looks = self._searcher.looks(query, self._searcher.start(query), room=lambda: LOOKED_UP)
        async with aclosing(looks):
            async for look in looks:
                for record in look.found:
                    selected[record.queue] = [*selected.get(record.queue, ()), record.id]
        return selected

    @staticmethod
    def _check_target(store: Backend, target: str, queues: Sequence[str]) -> None:
        require(target not in queues, "to", target, "another queue than those of the jobs")
        for queue in queues:
            require(
                store.dispatch.together((queue, target)),
                "to",
                target,
                f"one in the same slot of the Redis Cluster as {queue!r}: give both names the same"
                " part in braces, such as '{shop}mail' and '{shop}later'",
            )


def _checked(ids: Iterable[str]) -> list[str]:
    found = list(dict.fromkeys(ids))
    require(0 < len(found) <= MAX_IDS, "ids", len(found), f"1 to {MAX_IDS:,} ids")
    for job_id in found:
        check_text(job_id, "ids")
    return found
