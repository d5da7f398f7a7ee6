"""The records of a job: what is added, what is claimed, how an attempt ended, what is shown.

These cross the contract, so they hold JSON as text and moments in whole milliseconds; the public
face (`engine/handle.py`) turns them into Python values.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from toril.engine.deduplication import DeduplicationRule, HeldId, id_in
from toril.engine.flow import ChildRecord, ParentRef
from toril.engine.states import State

MAX_HISTORY = 50
"""Newest attempts that a job's history keeps."""


class NewJob(msgspec.Struct, kw_only=True, gc=False):
    """A job on its way into the store."""

    queue: str
    name: str
    data: str
    """JSON text."""
    opts: str = "{}"
    """JSON text in BullMQ's short form (spec, section 2.1)."""
    job_id: str | None = None
    """None: the queue gives the next number."""
    delay_ms: int = 0
    run_at_ms: int | None = None
    """Excludes `delay_ms`."""
    priority: int = 0
    lifo: bool = False
    timestamp_ms: int | None = None
    """When it was made. None: the store's now."""
    deduplication: DeduplicationRule | None = None


class Added(msgspec.Struct, frozen=True, gc=False):
    """The store's answer to a new job."""

    job_id: str
    duplicate: bool = False
    """Nothing was added: a job of that id was there already, or one that holds its de-duplication
    id, which then is this one."""


class Claimed(msgspec.Struct, array_like=True, gc=False):
    """A job that a worker holds, with no more than it needs to run it."""

    number: int | str
    """The store's own handle of the job."""
    id: str
    name: str
    data: str
    opts: str
    attempts_started: int
    """This one included."""
    attempts_made: int
    timestamp_ms: int
    deferred_failure: str | None
    """Set: fail it with this reason without running it."""
    queue: str = ""
    token: str = ""
    """Proof of the claim. Every later transition carries it."""
    started_ms: int = 0


OutcomeKind = Literal["completed", "failed", "retried", "snoozed", "released", "waiting_children"]


class Finished(msgspec.Struct, kw_only=True, gc=False):
    """How one attempt ended. A store applies it once, if the token still holds."""

    queue: str
    number: int | str
    job_id: str
    token: str
    kind: OutcomeKind
    value: str = "null"
    """`completed`: the result as JSON text."""
    reason: str | None = None
    """Why it failed or is retried."""
    traceback: str | None = None
    wait_ms: int = 0
    """`retried`, `snoozed`: how long until it may run again. 0: at once."""
    until_ms: int | None = None
    """`snoozed`: a moment in place of `wait_ms`."""
    attempt: int = 1
    """Which start of the job this was, from 1."""
    attempts_made: int = 0
    """Attempts that count, after this one."""
    exhausted: bool = False
    """`failed`: no attempt was left."""
    keep_count: int | None = None
    """`completed`, `failed`: the job's own keep policy, or the task's. None: no limit."""
    keep_age_ms: int | None = None
    worker_id: str = ""
    started_ms: int = 0
    lifo: bool = False
    follow_ups: list[NewJob] | None = None
    """`completed`: added in the same step."""

    @classmethod
    def of(cls, claimed: Claimed, kind: OutcomeKind, worker_id: str, *, counts: bool) -> Finished:
        """Return an outcome of a claimed job. `counts`: the attempt counts as made."""
        return cls(
            queue=claimed.queue,
            number=claimed.number,
            job_id=claimed.id,
            token=claimed.token,
            kind=kind,
            attempt=claimed.attempts_started,
            attempts_made=claimed.attempts_made + counts,
            worker_id=worker_id,
            started_ms=claimed.started_ms,
        )

    @classmethod
    def given_back(cls, claimed: Claimed, worker_id: str) -> Finished:
        """Return the outcome that puts a claimed job back in line without counting an attempt.

        If another worker holds the job by now, the store ignores it.
        """
        return cls.of(claimed, "released", worker_id, counts=False)


class Attempt(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One run of a job that has ended."""

    number: int
    started_ms: int
    ended_ms: int
    worker_id: str
    outcome: str
    """`completed`, `failed`, `retried`, `snoozed`, `released`, `waiting_children` or `stalled`."""
    error: str | None = None
    traceback: str | None = None


class JobRecord(msgspec.Struct, kw_only=True):
    """Everything that the store knows of a job."""

    id: str
    queue: str
    name: str
    state: State
    data: str
    opts: str
    priority: int
    timestamp_ms: int
    delay_ms: int
    run_at_ms: int | None
    """`delayed`: when it may run."""
    attempts_made: int
    attempts_started: int
    stalled: int
    progress: str
    """JSON text; `0` until the task reports."""
    result: str | None
    """JSON text, once completed."""
    failed_reason: str | None
    processed_on_ms: int | None
    finished_on_ms: int | None
    worker_id: str | None
    lease_remaining_ms: int | None
    """`active`: what is left of its lease. 0 or less: it has ended."""
    deferred_failure: str | None
    cancel_reason: str | None
    attempts: list[Attempt]
    """Oldest first, the newest `MAX_HISTORY`."""
    data_bytes: int
    parent: ParentRef | None = None
    """Whose child it is."""

    @property
    def deduplication_id(self) -> str | None:
        """The de-duplication id that it was added with."""
        return id_in(self.opts)

    @property
    def history(self) -> list[Attempt]:
        """The attempts that a store writes down; a final success shows in the job's own fields."""
        last = self.attempts[-1] if self.attempts else None
        seen = (
            self.state is State.COMPLETED
            and last is not None
            and last.outcome == "completed"
            and (last.number, last.started_ms, last.ended_ms)
            == (self.attempts_started, self.processed_on_ms, self.finished_on_ms)
        )
        return self.attempts[:-1] if seen else self.attempts


class WholeJob(msgspec.Struct, frozen=True):
    """A job with its log: all that one store has to tell another."""

    record: JobRecord
    log: list[str]
    """Oldest line first."""
    held: HeldId | None = None
    """The de-duplication id that it holds."""
    children: list[ChildRecord] = []
    """What it knows of its children."""
