"""What is known of a job that does not run: its record, its queue, its place, the workers.

The facts, and how they are read from a store: in one round of calls, and a second one for what only
some answers need. Read next: `explain.py` (what they mean).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toril.engine.contract import Backend, JobFilter
from toril.engine.contract.counts import JobPlace, QueueRecord
from toril.engine.contract.workers import ANY_NAME, WorkerRecord
from toril.engine.job import JobRecord
from toril.engine.states import READY, State
from toril.engine.sweeper import HEARTBEAT_S

MOST_AHEAD = 10_000
"""Jobs ahead that are counted one by one. Beyond that the answer is "more than"."""
MOST_RUNNING = 10
"""Running jobs that are read to tell who holds the slots."""
MOST_CHILDREN = 10
"""Children that are read to tell what a parent waits for."""
TRIES = 3
"""How often a job is asked for that moves while it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A job that another one waits for."""

    queue: str
    job_id: str
    state: State | None
    """None: it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What was read of a job, its queue and the workers."""

    queue: str
    job_id: str
    now_ms: int
    record: JobRecord | None = None
    figures: QueueRecord | None = None
    place: JobPlace | None = None
    """None: the job is gone, or has moved while it was asked for."""
    workers: Sequence[WorkerRecord] = ()
    """All on the register, those of other queues too."""
    foreign_workers: int | None = 0
    """Workers of BullMQ on the queue. None: nobody can say."""
    running: Sequence[JobRecord] = ()
    """Some jobs of the queue that run, the longest first."""
    children_left: int = 0
    """How many jobs it waits for."""
    children: Sequence[Child] = ()
    """Some of these."""

    def serving(self) -> list[WorkerRecord]:
        """Return the live workers of the queue."""
        return [one for one in self.workers if self.queue in one.queues and not is_silent(one)]

    def able(self) -> list[WorkerRecord]:
        """Return those of them that can run the job, as far as they say."""
        name = "" if self.record is None else self.record.name
        return [one for one in self.serving() if knows(one, self.queue, name)]


def is_silent(worker: WorkerRecord) -> bool:
    """Whether a worker was silent for so long that others take its jobs."""
    return worker.beat_age_ms > HEARTBEAT_S * 1000


def knows(worker: WorkerRecord, queue: str, name: str) -> bool:
    """Whether a worker may have a task for the jobs of a name, as far as it says."""
    names = None if worker.tasks is None else worker.tasks.get(queue)
    return names is None or name in names or ANY_NAME in names


async def read_facts(backend: Backend, queue: str, job_id: str) -> Facts:
    """Read what explains one job: four calls at once, and at most four more."""
    for _ in range(TRIES):
        record, figures, place, workers = await asyncio.gather(
            backend.jobs.get(queue, job_id),
            backend.counts.queue(queue),
            backend.counts.place(queue, job_id, limit=MOST_AHEAD),
            backend.workers.list(),
        )
        moved = None if place is None else place.state
        if moved == (None if record is None else record.state):
            break
        place = None  # it has moved between two of the calls: what they say belongs to two states
    facts = Facts(
        queue=queue,
        job_id=job_id,
        now_ms=backend.clock.now_ms(),
        record=record,
        figures=figures,
        place=place,
        workers=workers,
    )
    if record is None or record.state in (State.COMPLETED, State.FAILED):
        return facts
    running, foreign, (left, children) = await asyncio.gather(
        _running(backend, facts), _foreign(backend, facts), _children(backend, record)
    )
    return replace(
        facts,
        running=running,
        foreign_workers=foreign,
        children_left=left,
        children=children,
    )


async def _running(backend: Backend, facts: Facts) -> Sequence[JobRecord]:
    """Return who holds the slots, for a job that is in line."""
    record, figures = facts.record, facts.figures
    if record is None or record.state not in READY or figures is None:
        return ()
    if not figures.counts[State.ACTIVE]:
        return ()
    page = JobFilter(queue=facts.queue, states=(State.ACTIVE,), limit=MOST_RUNNING)
    return (await backend.jobs.page(page)).jobs


async def _foreign(backend: Backend, facts: Facts) -> int | None:
    """Return how many workers of BullMQ there are, if none of ours can run the job."""
    return 0 if facts.able() else await backend.workers.foreign(facts.queue)


async def _children(backend: Backend, record: JobRecord) -> tuple[int, Sequence[Child]]:
    """Return how many children the job waits for, and some of them."""
    if record.state is not State.WAITING_CHILDREN:
        return 0, ()
    fates, page = await asyncio.gather(
        backend.flows.outline(record.queue, record.id),
        backend.flows.children(record.queue, record.id, limit=MOST_CHILDREN),
    )
    children = [
        Child(queue=child.queue, job_id=child.job_id, state=child.state)
        for child in page.children  # those that it waits for come first
        if child.fate == "pending"
    ]
    return fates.get("pending", 0), children
