"""Short words for tests that speak the backend's contract: a worker by hand, pages, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toril.engine.contract import Backend, Claim, Exchange, ExchangeReply, HeldJob, JobFilter
from toril.engine.contract.dispatch import AttemptMessage, FenceResult, Renewal
from toril.engine.contract.workers import WorkerRecord
from toril.engine.job import Added, Claimed, Finished, JobRecord, NewJob, OutcomeKind
from toril.engine.states import State

Q = "paint"
"""The queue of most tests."""
REACHED = [state for state in State if state is not State.WAITING_CHILDREN]
"""States to which the contract's verbs can bring a job; to the other one only BullMQ does."""


def job(queue: str = Q, name: str = "cars", data: str = "{}", **fields: Any) -> NewJob:
    """Return a new job."""
    return NewJob(queue=queue, name=name, data=data, **fields)


async def add(backend: Backend, *jobs: NewJob) -> list[str]:
    """Add jobs in one call and return their ids. Without any: one plain job."""
    return [answer.job_id for answer in await add_all(backend, jobs or [job()])]


async def add_all(backend: Backend, jobs: Sequence[NewJob]) -> list[Added]:
    """Add jobs in one call and return the answers."""
    return await backend.jobs.add(jobs)


async def add_one(backend: Backend, queue: str = Q, **fields: Any) -> str:
    """Add one job and return its id."""
    return (await add(backend, job(queue, **fields)))[0]


def outcome(claimed: Claimed, kind: OutcomeKind, **fields: Any) -> Finished:
    """Return how an attempt ended, filled in as a worker does."""
    counts = kind in ("completed", "failed", "retried")
    fields.setdefault("attempts_made", claimed.attempts_made + counts)
    return Finished(
        queue=claimed.queue,
        number=claimed.number,
        job_id=claimed.id,
        token=claimed.token,
        kind=kind,
        name=claimed.name,
        waited_ms=claimed.waited_ms,
        attempt=claimed.attempts_started,
        worker_id=claimed.token.rpartition(":")[0],
        started_ms=claimed.started_ms,
        **fields,
    )


@dataclass
class HandWorker:
    """A worker that does only what the test tells it to."""

    backend: Backend
    id: str = "worker-1"
    lease_ms: int = 30_000

    async def ask(
        self,
        *queues: str,
        outcomes: Sequence[Finished] = (),
        limit: int = 1,
        room: int | None = None,
        rate: tuple[int, int] | None = None,
    ) -> ExchangeReply:
        """Do one exchange. `rate`: the worker's own limit and its window in ms."""
        limits: dict[str, int] = {}
        if rate is not None:
            limits = {"rate_limit": rate[0], "rate_window_ms": rate[1]}
        claims = [
            Claim(queue=queue, limit=limit, lease_ms=self.lease_ms, **limits) for queue in queues
        ]
        if room is None:
            room = limit * len(queues)
        return await self.backend.dispatch.exchange(
            Exchange(worker_id=self.id, outcomes=outcomes, claims=claims, room=room)
        )

    async def claim(self, *queues: str, **how: Any) -> list[Claimed]:
        """Claim and return what was there."""
        return (await self.ask(*(queues or (Q,)), **how)).claimed

    async def claim_one(self, queue: str = Q) -> Claimed:
        """Claim the next job, which has to be there."""
        (claimed,) = await self.claim(queue)
        return claimed

    async def end(self, claimed: Claimed, kind: OutcomeKind, **fields: Any) -> FenceResult:
        """Hand over one outcome and return the store's word."""
        return (await self.ask(outcomes=[outcome(claimed, kind, **fields)])).words[0]

    def hold(self, claimed: Claimed) -> HeldJob:
        """Return what the lease thread keeps of a claim."""
        return HeldJob(
            claimed.queue, claimed.number, claimed.token, self.lease_ms, claimed.attempts_started
        )

    def renew(self, *claimed: Claimed) -> Renewal:
        """Renew leases, as the lease thread does."""
        return self.backend.dispatch.renew(self.id, [self.hold(one) for one in claimed])


async def bring(backend: Backend, worker: HandWorker, where: State, **fields: Any) -> str:
    """Return the id of a job in a state."""
    if where is State.DELAYED:
        return await add_one(backend, delay_ms=60_000, **fields)
    if where is State.PRIORITIZED:
        fields.setdefault("priority", 5)
    job_id = await add_one(backend, **fields)
    if where in (State.WAIT, State.PRIORITIZED):
        return job_id
    claimed = await worker.claim_one()
    assert claimed.id == job_id
    if where is State.COMPLETED:
        await worker.end(claimed, "completed", value="1")
    if where is State.FAILED:
        await worker.end(claimed, "failed", reason="broken")
    return job_id


def speech(claimed: Claimed, **fields: Any) -> AttemptMessage:
    """Return something that a running task said."""
    return AttemptMessage(
        claimed.queue,
        claimed.number,
        claimed.id,
        claimed.token,
        claimed.attempts_started,
        **fields,
    )


def card(worker_id: str, *queues: str) -> WorkerRecord:
    """Return what a worker says of itself when it begins. It serves the queue of most tests."""
    return WorkerRecord(
        id=worker_id,
        host="here",
        pid=1,
        queues=list(queues or (Q,)),
        concurrency=1,
        running=0,
        started_ms=1,
        beat_age_ms=0,
        quiet=False,
        resident_bytes=0,
        version="test",
    )


async def record(backend: Backend, job_id: str, queue: str = Q) -> JobRecord:
    """Return a job that has to be there."""
    found = await backend.jobs.get(queue, job_id)
    assert found is not None, f"queue {queue!r} has no job {job_id!r}"
    return found


async def state(backend: Backend, job_id: str, queue: str = Q) -> State | None:
    """Return a job's state; None if it is not there."""
    found = await backend.jobs.get(queue, job_id)
    return None if found is None else found.state


async def line(backend: Backend, wanted: State, queue: str = Q, **how: Any) -> list[str]:
    """Return the ids of all jobs of a state, in its order."""
    return [found.id for found in await records(backend, wanted, queue, **how)]


async def records(
    backend: Backend,
    wanted: State,
    queue: str = Q,
    *,
    newest_first: bool = False,
    page_size: int = 100,
) -> list[JobRecord]:
    """Return all jobs of a state, page after page."""
    jobs: list[JobRecord] = []
    after: str | None = None
    while True:
        page = await backend.jobs.page(
            JobFilter(
                queue=queue,
                states=(wanted,),
                limit=page_size,
                after=after,
                newest_first=newest_first,
            )
        )
        jobs += page.jobs
        assert all((found.state, found.queue) == (wanted, queue) for found in page.jobs)
        if page.next is None:
            return jobs
        assert len(page.jobs) == page_size
        after = page.next


async def counts(backend: Backend, queue: str = Q) -> dict[State, int]:
    """Return the queue's counts, without the zeros."""
    found = await backend.counts.queue(queue)
    assert found is not None
    assert list(found.counts) == list(State)
    return {where: many for where, many in found.counts.items() if many}


async def told(
    backend: Backend, queue: str = Q, after: int = 0
) -> list[tuple[str, dict[str, Any]]]:
    """Return all events of a queue after a position: name and fields."""
    events: list[tuple[str, dict[str, Any]]] = []
    while True:
        batch = await backend.events.read(queue, after=after, limit=1000, wait_s=0)
        if not batch:
            return events
        events += [(event.name, event.fields) for event in batch]
        after = batch[-1].position


async def check_counts(backend: Backend) -> None:
    """Assert that the figures of every queue are what paging finds."""
    for queue in await backend.counts.queues():
        for where in State:
            found = await line(backend, where, queue.name, page_size=500)
            assert len(found) == len(set(found))
            assert len(found) == queue.counts[where], f"{queue.name}: {where}"
