"""What users see of jobs, queues and workers: the stored records as Python values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from toril.core.clock import moment
from toril.core.reading import read
from toril.engine.contract.counts import QueueRecord
from toril.engine.contract.workers import WorkerRecord
from toril.engine.events import EventsTold
from toril.engine.job import JobRecord
from toril.engine.states import State
from toril.engine.wire_options import from_wire


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptInfo:
    """One attempt that has ended."""

    number: int
    """From 1; from 1 again once somebody has retried the job by hand."""
    started_at: datetime
    ended_at: datetime
    worker_id: str
    outcome: str
    """`completed`, `failed`, `retried`, `snoozed`, `released`, `waiting_children` or `stalled`."""
    error: str | None
    traceback: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """A job at the moment of the query."""

    id: str
    queue: str
    name: str
    state: State
    data: Any
    """The payload, decoded. A `RawText` if it cannot be decoded: no JSON, or nested too deep."""
    data_bytes: int
    options: Any
    """The stored options, decoded like `data`, with BullMQ's names."""
    max_attempts: int | None
    """Attempts in all, the first included. None: the task's `max_attempts` applies."""
    priority: int
    """0: none."""
    deduplication_id: str | None
    """The de-duplication id that the job was added with."""
    created_at: datetime
    delay_s: float
    run_at: datetime | None
    """`delayed`: when the job may run. After the year 9999, this and any other moment shows as the
    last one of that year."""
    attempts_made: int
    """Attempts that count towards `max_attempts`."""
    attempts_started: int
    """Attempts in all, including those that were given back or lost."""
    stalled: int
    """How often the job has lost its worker."""
    progress: Any
    result: Any
    """`completed`: what the task returned, decoded like `data`."""
    failed_reason: str | None
    processed_at: datetime | None
    """When a worker last claimed it."""
    finished_at: datetime | None
    worker_id: str | None
    lease_remaining_s: float | None
    """`active`: time until the lease expires. Negative: it has expired."""
    cancel_reason: str | None
    """`active`: why somebody has cancelled it. None: nobody has."""
    attempts: list[AttemptInfo]
    """Oldest first, the newest 50."""
    parent_queue: str | None = None
    parent_id: str | None = None
    """Of a job of a flow: the queue and the id of its parent. None: it has none."""
    unknown_since: datetime | None = None
    """`delayed`: since when no worker that took it has had a task of its name. None: not so."""

    @classmethod
    def from_record(cls, record: JobRecord) -> JobInfo:
        """Return a stored record as Python values."""
        lease_ms = record.lease_remaining_ms
        return cls(
            id=record.id,
            queue=record.queue,
            name=record.name,
            state=record.state,
            data=read(record.data),
            data_bytes=record.data_bytes,
            options=read(record.opts),
            max_attempts=from_wire(record.opts).max_attempts,
            priority=record.priority,
            deduplication_id=record.deduplication_id,
            created_at=moment(record.timestamp_ms),
            delay_s=record.delay_ms / 1000,
            run_at=_moment(record.run_at_ms),
            attempts_made=record.attempts_made,
            attempts_started=record.attempts_started,
            stalled=record.stalled,
            progress=read(record.progress),
            result=None if record.result is None else read(record.result),
            failed_reason=record.failed_reason,
            processed_at=_moment(record.processed_on_ms),
            finished_at=_moment(record.finished_on_ms),
            worker_id=record.worker_id or None,
            lease_remaining_s=None if lease_ms is None else lease_ms / 1000,
            cancel_reason=record.cancel_reason,
            attempts=[
                AttemptInfo(
                    number=attempt.number,
                    started_at=moment(attempt.started_ms),
                    ended_at=moment(attempt.ended_ms),
                    worker_id=attempt.worker_id,
                    outcome=attempt.outcome,
                    error=attempt.error,
                    traceback=attempt.traceback,
                )
                for attempt in record.attempts
            ],
            parent_queue=None if record.parent is None else record.parent.queue,
            parent_id=None if record.parent is None else record.parent.job_id,
            unknown_since=_moment(record.unknown_since_ms),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """A queue at the moment of the query."""

    name: str
    paused: bool
    waiting: int
    prioritized: int
    delayed: int
    waiting_children: int
    """Parents of BullMQ's flows."""
    active: int
    completed: int
    failed: int
    completed_total: int
    """Since the queue began, kept or not; what workers of BullMQ ended counts while it is kept."""
    failed_total: int
    oldest_waiting_s: float | None
    """Age of the job that is next in line. None: no job waits."""
    concurrency: int | None
    maxed: bool
    """The concurrency is used up."""
    rate_limit: int | None
    rate_window_s: float | None
    held_s: float
    """For how long the queue's rate limit or a hold lets no job start. 0: a job may start. The rate
    limits of workers do not count here: see `Queue.held_s`."""
    events: EventsTold
    """Which events the queue emits: `all`, `outcomes` or `none`; see `Queue.set_events`."""
    history: bool = True
    """Its history is written; see `Queue.set_history`."""

    @classmethod
    def from_record(cls, record: QueueRecord) -> QueueInfo:
        """Return a stored record as Python values."""
        counts = record.counts
        oldest_ms, window_ms = record.oldest_waiting_ms, record.rate_window_ms
        return cls(
            name=record.name,
            paused=record.paused,
            waiting=counts[State.WAIT],
            prioritized=counts[State.PRIORITIZED],
            delayed=counts[State.DELAYED],
            waiting_children=counts[State.WAITING_CHILDREN],
            active=counts[State.ACTIVE],
            completed=counts[State.COMPLETED],
            failed=counts[State.FAILED],
            completed_total=record.completed_total,
            failed_total=record.failed_total,
            oldest_waiting_s=None if oldest_ms is None else oldest_ms / 1000,
            concurrency=record.concurrency,
            maxed=record.maxed,
            rate_limit=record.rate_limit,
            rate_window_s=None if window_ms is None else window_ms / 1000,
            held_s=record.held_ms() / 1000,
            events=record.events,
            history=record.history,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A worker at the moment of the query."""

    id: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    running: int
    """Jobs that it runs now."""
    started_at: datetime
    beat_age_s: float
    """Time since its last heartbeat."""
    quiet: bool
    """It claims no more jobs: it is about to stop."""
    resident_bytes: int
    version: str
    paused: bool
    """It claims no jobs until it is resumed: see `Worker.pause`."""
    tasks: dict[str, list[str]] | None
    """For each queue the names of the jobs that it can run. `*` among them stands for others that
    are not listed: a task takes jobs of any name, or there are too many. None: not known, as of a
    worker of an earlier version."""

    @classmethod
    def from_record(cls, record: WorkerRecord, *, running: int) -> WorkerInfo:
        """Return a stored record as Python values, with the jobs that it runs now."""
        return cls(
            id=record.id,
            host=record.host,
            pid=record.pid,
            queues=record.queues,
            concurrency=record.concurrency,
            running=running,
            started_at=moment(record.started_ms),
            beat_age_s=record.beat_age_ms / 1000,
            quiet=record.quiet,
            resident_bytes=record.resident_bytes,
            version=record.version,
            paused=record.paused,
            tasks=record.tasks,
        )


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else moment(epoch_ms)
