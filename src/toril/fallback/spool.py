"""The spool: what waits in a file while Redis is away.

A plain job waits in its queue of the file, where local workers run it. All else waits in a queue
that no worker serves, as a call that Redis is to carry out later (`Entry`): jobs that Redis may
have already, as its answer was lost, and jobs with an id that a job in Redis may have.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.counts import QueueRecord
from toril.engine.job import Added, JobRecord, NewJob, WholeJob
from toril.engine.repeats import CallId
from toril.engine.spool_ids import is_spool_id, spool_id
from toril.engine.states import State

CALLS = "toril~calls"
"""The queue of calls that Redis is to carry out."""
ALIASES = "toril~aliases"
"""The queue that remembers which job of Redis has taken the place of one of the spool."""
ALIASES_KEPT_MS = 24 * 3600 * 1000
PAGE = 100
MOST_JOBS = 100_000
"""More than one call can have: jobs with ids are calls of their own, in one book for several."""
_HIDDEN = frozenset({CALLS, ALIASES})


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A call that Redis is to carry out."""

    call: CallId
    queue: str
    """The queue of the jobs, or of the first one."""
    jobs: list[NewJob] = []
    """New ones, exactly as they were sent if they were."""
    ids: list[str] = []
    """What their callers were told. Of a job without an id of its own it becomes its id, unless
    Redis had the call already."""
    whole: list[WholeJob] = []
    """Jobs that have left the lines of the spool."""


class Spool:
    """The file, and what waits in it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def keep(
        self, call: CallId, jobs: Sequence[NewJob], *, unsure: bool
    ) -> Sequence[Added | Exception]:
        """Write jobs to the file; return what their callers are told.

        Parameters:
            call: By which Redis was, or could have been, asked.
            jobs: Which.
            unsure: Redis may have them, or may get them yet: they wait for it.
        """
        now_ms = self.backend.clock.now_ms()
        told = [
            spool_id(call, index) if job.job_id is None else job.job_id
            for index, job in enumerate(jobs)
        ]
        # A delay counts from now, not from the day on which Redis comes back.
        dated = [
            job
            if job.timestamp_ms is not None
            else msgspec.structs.replace(job, timestamp_ms=now_ms)
            for job in jobs
        ]
        if unsure:
            entry = Entry(call=call, queue=jobs[0].queue, jobs=dated, ids=told)
            await self._add_calls([(f"{call.book}-{call.number}", entry)])
            return [Added(one) for one in told]
        answers: list[Added] = [Added(one) for one in told]
        plain = [index for index, job in enumerate(jobs) if not _is_unique(job)]
        unique = [index for index, job in enumerate(jobs) if _is_unique(job)]
        if plain:
            await self.backend.jobs.add(
                [msgspec.structs.replace(dated[index], job_id=told[index]) for index in plain]
            )
        if unique:
            added = await self._add_calls(
                [
                    (
                        _unique_key(jobs[index].queue, told[index]),
                        Entry(
                            call=CallId(f"{call.book}u", call.number * MOST_JOBS + index),
                            queue=jobs[index].queue,
                            jobs=[dated[index]],
                            ids=[told[index]],
                        ),
                    )
                    for index in unique
                ]
            )
            for index, one in zip(unique, added, strict=True):
                answers[index] = Added(told[index], duplicate=one.duplicate)
        return answers

    async def keep_whole(self, call: CallId, queue: str, jobs: list[WholeJob]) -> str:
        """Write down that jobs leave the lines of the spool; return the id of the entry."""
        key = f"{call.book}-{call.number}"
        await self._add_calls([(key, Entry(call=call, queue=queue, whole=jobs))])
        return key

    async def _add_calls(self, entries: Sequence[tuple[str, Entry]]) -> list[Added]:
        return await self.backend.jobs.add(
            [
                NewJob(
                    queue=CALLS, name="call", data=msgspec.json.encode(entry).decode(), job_id=key
                )
                for key, entry in entries
            ]
        )

    async def calls(self) -> AsyncIterator[tuple[str, Entry]]:
        """Yield the calls that wait, oldest first, each with its id."""
        after: str | None = None
        while True:
            page = await self.backend.jobs.page(
                JobFilter(queue=CALLS, states=(State.WAIT,), limit=PAGE, after=after)
            )
            for job in page.jobs:
                yield job.id, msgspec.json.decode(job.data, type=Entry)
            if page.next is None:
                return
            after = page.next

    async def has_calls(self, queue: str) -> bool:
        """Return whether jobs of a queue wait for Redis."""
        async for _, entry in self.calls():
            if queue == entry.queue or any(job.queue == queue for job in entry.jobs):
                return True
        return False

    async def drop_call(self, key: str) -> None:
        """Forget a call: Redis has carried it out."""
        await self.backend.jobs.remove(CALLS, key)

    async def remember(self, queue: str, told: str, job_id: str) -> None:
        """Remember which job of Redis is meant by the id that a caller was told."""
        await self.backend.jobs.add(
            [NewJob(queue=ALIASES, name="alias", data=msgspec.json.encode(job_id).decode(),
                    job_id=_unique_key(queue, told))]
        )  # fmt: skip

    async def alias(self, queue: str, told: str) -> str:
        """Return the id in Redis of a job, by what its caller was told."""
        found = await self.backend.jobs.get(ALIASES, _unique_key(queue, told))
        return told if found is None else str(msgspec.json.decode(found.data))

    async def trim(self) -> None:
        """Forget what nobody asks for any more."""
        await self.backend.bulk.clean(
            ALIASES, State.WAIT, older_than_ms=ALIASES_KEPT_MS, limit=1000
        )

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job of the spool, wherever in it it waits."""
        found = await self.backend.jobs.get(queue, job_id)
        return await self.waiting(queue, job_id) if found is None else found

    async def waiting(self, queue: str, job_id: str) -> JobRecord | None:
        """Return a job that waits for Redis."""
        known = await self.backend.jobs.get(CALLS, _unique_key(queue, job_id))
        if known is not None:
            return _record(msgspec.json.decode(known.data, type=Entry), 0, job_id)
        if not is_spool_id(job_id):
            return None
        async for _, entry in self.calls():
            if job_id in entry.ids and entry.jobs[entry.ids.index(job_id)].queue == queue:
                return _record(entry, entry.ids.index(job_id), job_id)
            for job in entry.whole:
                if job.record.id == job_id and entry.queue == queue:
                    return job.record
        return None

    async def queues(self) -> list[QueueRecord]:
        """Return the queues of the spool, without its own."""
        return [one for one in await self.backend.counts.queues() if one.name not in _HIDDEN]

    async def runs(self) -> bool:
        """Return whether a job of the spool runs."""
        return any(one.counts[State.ACTIVE] for one in await self.queues())

    async def left(self) -> int:
        """Return how many jobs of the spool have not moved yet: those that run included."""
        many = sum(sum(one.counts.values()) for one in await self.queues())
        calls = await self.backend.counts.queue(CALLS)
        if calls is not None and calls.counts[State.WAIT]:
            async for _, entry in self.calls():
                many += len(entry.jobs) + len(entry.whole)
        return many


def _is_unique(job: NewJob) -> bool:
    """Whether only Redis knows if a job may be added."""
    return job.job_id is not None or job.deduplication is not None


def _unique_key(queue: str, job_id: str) -> str:
    return f"{queue}:{job_id}"


def _record(entry: Entry, index: int, job_id: str) -> JobRecord:
    """Return a job that waits for Redis, as one that is in line."""
    job = entry.jobs[index]
    due_ms = job.run_at_ms if job.run_at_ms is not None else None
    timestamp_ms = job.timestamp_ms or 0
    if job.delay_ms:
        due_ms = timestamp_ms + job.delay_ms
    state = State.DELAYED if due_ms is not None else State.WAIT
    return JobRecord(
        id=job_id, queue=job.queue, name=job.name, state=state, data=job.data, opts=job.opts,
        priority=job.priority, timestamp_ms=timestamp_ms, delay_ms=job.delay_ms, run_at_ms=due_ms,
        attempts_made=0, attempts_started=0, stalled=0, progress="0", result=None,
        failed_reason=None, processed_on_ms=None, finished_on_ms=None, worker_id=None,
        lease_remaining_ms=None, deferred_failure=None, cancel_reason=None, attempts=[],
        data_bytes=len(job.data.encode()),
    )  # fmt: skip
