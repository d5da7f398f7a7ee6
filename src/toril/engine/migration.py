"""Moves queues with all their jobs from one store to another, so that no job can run twice.

A queue is paused in both stores first. Then, chunk by chunk, the target adopts its jobs, and the
source removes them. A run that is killed in between leaves some of them in both; the next one goes
on from there, as a job that the target has already is not adopted again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from toril.core.checks import unknown
from toril.core.errors import InvalidOptionError, MigrationError, WrongStateError
from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.jobs import JobPage
from toril.engine.flow import ChildRecord
from toril.engine.flow_ties import FlowTies
from toril.engine.history_move import move_history
from toril.engine.job import JobRecord, WholeJob
from toril.engine.operator import CHUNK, Progress
from toril.engine.schedules.moving import move_schedules
from toril.engine.states import READY, State
from toril.engine.sweeper import HEARTBEAT_S, take_back

FIRST_CHUNK = 50
"""Jobs of the first chunk, whose size is not known."""
CHUNK_BYTES = 4_000_000
"""About what a chunk weighs at most: large jobs travel in smaller company."""

MOVABLE = (
    State.WAIT,
    State.PRIORITIZED,
    State.DELAYED,
    State.WAITING_CHILDREN,
    State.FAILED,
    State.COMPLETED,
)

_FOREVER = 1_000_000_000
"""Stalls that a job survives here: it lost its worker to the move, so that is held against none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMove:
    """What became of one queue."""

    queue: str
    moved: dict[State, int]
    """Jobs that left the source, by the state that they have in the target."""
    schedules: int
    """Schedules that left the source, each with the job that waits for its moment."""
    tied: int
    """Jobs that stayed behind: they belong to a flow that reaches into queues that were not moved.
    A move would cut it."""
    tied_id: str | None
    """One of these."""
    taken: int
    """Jobs that stayed behind: the target has other jobs of these ids."""
    taken_id: str | None
    """One of these."""
    paused: bool
    """Whether it is paused in the target now. In the source it is."""
    duration_s: float


async def plan(source: Backend, queues: Sequence[str] | None) -> list[QueueMove]:
    """Return what a move would find, as if it had been done. Changes nothing."""
    records = await _records(source, queues)
    ties = FlowTies(source, [record.name for record in records])
    tied = {record.name: await ties.tied_parents(record) for record in records}
    return [
        QueueMove(
            queue=record.name,
            moved={
                **record.counts,
                State.WAITING_CHILDREN: record.counts[State.WAITING_CHILDREN]
                - len(tied[record.name]),
            },
            schedules=len(await source.schedules.ids(record.name)),
            tied=len(tied[record.name]),
            tied_id=next(iter(tied[record.name]), None),
            taken=0,
            taken_id=None,
            paused=record.paused and not record.moving,
            duration_s=0.0,
        )
        for record in records
    ]


async def move(
    source: Backend,
    target: Backend,
    queues: Sequence[str] | None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> list[QueueMove]:
    """Move queues.

    Parameters:
        source: Where they are.
        target: Where to.
        queues: Which. None: all.
        force: Although workers serve them.
        progress: Told how many jobs were moved so far.

    Raises:
        InvalidOptionError: There is no such queue, or the two are one store.
        WrongStateError: Workers serve a queue, or jobs of it run.
        MigrationError: A queue was not moved whole.
    """
    if await source.lifecycle.identity() == await target.lifecycle.identity():
        raise InvalidOptionError(
            f"{target.url} is the store that the jobs are in: name another to move them to"
        )
    names = [record.name for record in await _records(source, queues)]
    if not force:
        for store in (source, target):
            await _refuse_workers(store, names)
    await take_back(source.dispatch, max_stalled=_FOREVER)
    for record in await _records(source, names):
        _refuse_running(source, record)
    done = 0

    def count(many: int) -> None:
        nonlocal done
        done += many
        if progress is not None:
            progress(done)

    ties = FlowTies(source, names)
    movers = [_QueueMover(source, target, name, count, ties) for name in names]
    if not any(record.counts[State.WAITING_CHILDREN] for record in await _records(source, names)):
        return [await mover.run() for mover in movers]
    # A flow goes on in none of its queues before it has moved in all of them.
    for place, mover in enumerate(movers):
        try:
            await mover.close()
        except WrongStateError:
            for earlier in movers[:place]:
                await earlier.give_up()
            raise
    for mover in movers:
        await mover.move()
    return [await mover.end() for mover in movers]


async def _records(store: Backend, queues: Sequence[str] | None) -> list[QueueRecord]:
    found = {record.name: record for record in await store.counts.queues(search=True)}
    for name in queues or ():
        if name not in found:
            raise InvalidOptionError(f"{store.url}: {unknown('queue', name, found)}")
    return [found[name] for name in (found if queues is None else dict.fromkeys(queues))]


async def _refuse_workers(store: Backend, names: Sequence[str]) -> None:
    for worker in await store.workers.list():
        served = sorted(set(worker.queues).intersection(names))
        if served and worker.beat_age_ms <= HEARTBEAT_S * 1000:
            raise WrongStateError(
                f"worker {worker.id} of {store.url} serves queue {served[0]!r}: stop it first,"
                " or force",
                job_id="",
                queue=served[0],
            )


def _refuse_running(store: Backend, record: QueueRecord) -> None:
    if many := record.counts[State.ACTIVE]:
        raise WrongStateError(
            f"queue {record.name!r} of {store.url} has running jobs ({many}): stop its workers, and"
            " let the leases of those that were killed end",
            job_id="",
            queue=record.name,
        )


class _QueueMover:
    """The move of one queue."""

    def __init__(
        self, source: Backend, target: Backend, name: str, count: Progress, ties: FlowTies
    ) -> None:
        self._source = source
        self._target = target
        self._name = name
        self._count = count
        self._ties = ties
        self._begun_s = 0.0
        self._was_done = False
        """An earlier run has done all of it."""
        self._stays_paused = False
        self._give_up: list[Backend] = []
        """Stores in which it has to be resumed if nothing is moved after all."""
        self._moved: Counter[State] = Counter()
        self._expected: Counter[State] = Counter()
        """What the target has to count."""
        self._left: Counter[State] = Counter()
        """What stays in the source."""
        self._tied = self._taken = 0
        self._tied_id: str | None = None
        self._taken_id: str | None = None
        self._many = FIRST_CHUNK
        self._schedules = 0

    async def run(self) -> QueueMove:
        """Move the queue, or go on with a move that was cut short."""
        await self.close()
        await self.move()
        return await self.end()

    async def close(self) -> None:
        """Pause the queue in both stores."""
        self._begun_s = asyncio.get_running_loop().time()
        before, there = await self._source_record(), await self._target.counts.queue(self._name)
        self._stays_paused = before.paused and not before.moving
        is_empty = not _jobs(before) and not await self._source.schedules.ids(self._name)
        if there is not None and not there.moving and before.paused and is_empty:
            self._was_done = True
            return
        if not before.paused:
            self._give_up.append(self._source)
        if there is None or not there.paused:
            self._give_up.append(self._target)
        await self._close(before, there)

    async def give_up(self) -> None:
        """Let the queue go on where it did, as nothing is moved after all."""
        for store in self._give_up:
            await store.limits.resume(self._name)

    async def move(self) -> None:
        """Move its schedules and its jobs."""
        if self._was_done:
            return
        self._schedules = await move_schedules(
            self._source.schedules, self._target.schedules, self._name
        )
        self._expected.update((await self._target_record()).counts)
        while await self._move_states():
            pass  # until nothing is found any more: something may have been added meanwhile

    async def end(self) -> QueueMove:
        """Compare what was counted, let the queue go on, and say what became of it."""
        if not self._was_done:
            await self._verify()
            await self._open(self._stays_paused)
        return self._result((await self._target_record()).paused, self._begun_s)

    async def _close(self, before: QueueRecord, there: QueueRecord | None) -> None:
        """Pause the queue in both stores, and bring its settings over."""
        name, target = self._name, self._target
        await target.limits.pause(name, moving=True)
        # Not again for jobs that came to the source after the queue had moved.
        if not before.moving or there is None or there.moving:
            if before.concurrency is not None:
                await target.limits.set_concurrency(name, before.concurrency)
            if before.rate_limit is not None:
                await target.limits.set_rate(name, before.rate_limit, before.rate_window_ms or 1000)
            if before.events != "all":
                await target.events.choose(name, before.events)
            if not before.history:
                await target.history.keep(name, False)
            if (rule := await self._source.dead_letters.rule(name)) is not None:
                await target.dead_letters.set_rule(name, rule)
        await self._source.limits.pause(name, moving=True)
        try:
            _refuse_running(self._source, await self._source_record())
        except WrongStateError:  # one began just now
            if not before.paused:
                await self._source.limits.resume(name)
            if there is None or not there.paused:
                await target.limits.resume(name)
            raise

    async def _open(self, stays_paused: bool) -> None:
        """Let the queue go on in the target, if it did in the source and nobody paused it here."""
        source, target = await self._source_record(), self._target
        await move_history(self._source, target, self._name)
        await target.counts.raise_totals(
            self._name, completed=source.completed_total, failed=source.failed_total
        )
        if stays_paused:
            await target.limits.pause(self._name)
        elif (await self._target_record()).moving:
            await target.limits.resume(self._name)

    async def _move_states(self) -> int:
        """Move what is there; return how many jobs."""
        self._tied = self._taken = 0
        self._left.clear()
        return sum([await self._move_state(state) for state in MOVABLE])

    async def _move_state(self, state: State) -> int:
        """Move the jobs of one state, from its first one on: what was moved is gone from there."""
        moved = 0
        after: str | None = None
        while True:
            page = await self._page(state, after, self._many)
            gone = await self._move_jobs(state, page.jobs)
            moved += gone
            stays = len(page.jobs) - gone
            if stays:  # go on behind those
                page = await self._page(state, after, stays)
            if stays or not page.jobs:
                after = page.next
                if after is None:
                    return moved

    async def _page(self, state: State, after: str | None, limit: int) -> JobPage:
        return await self._source.jobs.page(
            JobFilter(queue=self._name, states=(state,), limit=limit, after=after)
        )

    async def _move_jobs(self, state: State, found: Sequence[JobRecord]) -> int:
        """Move jobs of one state; return how many."""
        jobs: list[JobRecord] = []
        known: list[list[ChildRecord]] = []
        all_known = await self._source.flows.known(self._name, [job.id for job in found])
        for job, children in zip(found, all_known, strict=True):
            if await self._ties.hold(job, children):
                self._tied, self._tied_id = self._tied + 1, job.id
                self._left[state] += 1
            else:
                jobs.append(job)
                known.append(children)
        if not jobs:
            return 0
        logs = await self._source.moving.logs(self._name, [job.id for job in jobs])
        held = await self._source.moving.held_ids(self._name, [job.id for job in jobs])
        whole = [WholeJob(*parts) for parts in zip(jobs, logs, held, known, strict=True)]
        self._fit_chunk(whole)
        answers = await self._target.moving.adopt(self._name, whole)
        safe: list[JobRecord] = []
        for job, adopted in zip(jobs, answers, strict=True):
            if adopted:
                self._expected[_place(job)] += 1
            if adopted or await self._is_there(job):
                safe.append(job)
            else:
                self._taken, self._taken_id = self._taken + 1, job.id
                self._left[state] += 1
        gone = await self._source.moving.remove(self._name, state, [job.id for job in safe])
        self._moved.update(_place(job) for job, went in zip(safe, gone, strict=True) if went)
        self._count(sum(gone))
        return sum(gone)

    async def _is_there(self, job: JobRecord) -> bool:
        """Whether the target's job of this id is this one, from a run that was cut short."""
        other = await self._target.jobs.get(self._name, job.id)
        if other is None:
            return False
        if job.parent is not None and job.parent == other.parent:
            other.opts = job.opts  # each store names the parent there in its own way
        return (other.name, other.timestamp_ms, other.opts, other.data) == (
            job.name,
            job.timestamp_ms,
            job.opts,
            job.data,
        )

    def _fit_chunk(self, jobs: Sequence[WholeJob]) -> None:
        """Choose how many jobs come next by the weight of these."""
        weight = sum(
            len(job.record.data) + len(job.record.result or "") + sum(map(len, job.log))
            for job in jobs
        )
        self._many = max(1, min(CHUNK, CHUNK_BYTES * len(jobs) // max(1, weight)))

    async def _verify(self) -> None:
        """Compare what both stores count with what should be there.

        The target may have more: it takes new jobs all the time, and delayed ones come due.
        """
        source, target = await self._source_record(), await self._target_record()
        extra_ready = sum(max(0, target.counts[ready] - self._expected[ready]) for ready in READY)
        for state in MOVABLE:
            wanted, found = self._expected[state], target.counts[state]
            came_due = extra_ready if state is State.DELAYED else 0
            if found + came_due < wanted:
                raise self._misfit(state, self._target, found, wanted)
            wanted, found = self._left[state], source.counts[state]
            if found != wanted:
                raise self._misfit(state, self._source, found, wanted)

    def _misfit(self, state: State, store: Backend, found: int, wanted: int) -> MigrationError:
        return MigrationError(
            f"queue {self._name!r}, state {state}: {store.url} counts {found} where {wanted} should"
            " be. It is paused in both stores. End what else is at work on it, and move it again."
        )

    def _result(self, paused: bool, begun_s: float) -> QueueMove:
        return QueueMove(
            queue=self._name,
            moved={state: self._moved[state] for state in State},
            schedules=self._schedules,
            tied=self._tied,
            tied_id=self._tied_id,
            taken=self._taken,
            taken_id=self._taken_id,
            paused=paused,
            duration_s=asyncio.get_running_loop().time() - begun_s,
        )

    async def _source_record(self) -> QueueRecord:
        return await _known(self._source, self._name)

    async def _target_record(self) -> QueueRecord:
        return await _known(self._target, self._name)


async def _known(store: Backend, name: str) -> QueueRecord:
    record = await store.counts.queue(name)
    if record is None:
        raise MigrationError(
            f"queue {name!r} is gone from {store.url}: somebody has removed it meanwhile"
        )
    return record


def _jobs(record: QueueRecord) -> int:
    return sum(record.counts.values())


def _place(job: JobRecord) -> State:
    """Return the state that a job has in the target: BullMQ may leave a priority in `wait`."""
    if job.state in READY:
        return State.PRIORITIZED if job.priority else State.WAIT
    return job.state
