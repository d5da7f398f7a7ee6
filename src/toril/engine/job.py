"""The records of a job that cross the contract: new, claimed, finished, and as stored.

JSON is text here and moments are whole milliseconds. `engine/info.py` and `engine/handle.py` turn
them into Python values for users.
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
    """None: the store gives it the next number of the queue."""
    delay_ms: int = 0
    run_at_ms: int | None = None
    """A moment in place of `delay_ms`."""
    priority: int = 0
    lifo: bool = False
    timestamp_ms: int | None = None
    """When the producer made it. None: the store's present."""
    deduplication: DeduplicationRule | None = None

    def due_ms(self, timestamp_ms: int) -> int:
        """Return when the job may run: at `run_at_ms`, or `delay_ms` after its timestamp."""
        return timestamp_ms + self.delay_ms if self.run_at_ms is None else self.run_at_ms


class Added(msgspec.Struct, frozen=True, gc=False):
    """The store's answer to a new job."""

    job_id: str
    duplicate: bool = False
    """The store added nothing. Either a job with this id existed, or `job_id` is the job that holds
    the new job's de-duplication id."""


class Claimed(msgspec.Struct, array_like=True, gc=False):
    """A job that a worker holds, with no more than it needs to run it.

    Stores build it by position, in the order of the fields: names cost 0.15 µs a job on Redis and
    0.5 µs or more on SQLite, of about 18 and 8 µs that claiming and finishing one takes in batches.
    """

    number: int | str
    """The store's own key for the job."""
    id: str
    name: str
    data: str
    opts: str
    attempts_started: int
    """This one included."""
    attempts_made: int
    timestamp_ms: int
    deferred_failure: str | None
    """If set, fail the job with this reason without running it."""
    ready_ms: int | None = None
    """When it became ready for this start, if it was delayed before. Negative: not known. None:
    it was not delayed."""
    queue: str = ""
    token: str = ""
    """Proof of the claim: every later change by the worker carries it."""
    started_ms: int = 0

    @property
    def waited_ms(self) -> int:
        """How long the job could have run before it was started. Negative: not known.

        Known for a first start, and for one after a delay.
        """
        if self.ready_ms is None:  # by far the commonest, and each attempt comes by
            waited_ms = self.started_ms - self.timestamp_ms if self.attempts_started == 1 else -1
        else:
            waited_ms = -1 if self.ready_ms < 0 else max(0, self.started_ms - self.ready_ms)
        return waited_ms


OutcomeKind = Literal["completed", "failed", "retried", "snoozed", "released", "waiting_children"]


class Finished(msgspec.Struct, kw_only=True, gc=False):
    """How one attempt ended. The store applies it once, if the token still holds the job."""

    queue: str
    number: int | str
    job_id: str
    token: str
    kind: OutcomeKind
    name: str = ""
    """The job's name, under which the queue's history counts it."""
    waited_ms: int = -1
    """How long the job waited before the attempt (`Claimed.waited_ms`)."""
    value: str = "null"
    """`completed`: the result as JSON text."""
    reason: str | None = None
    """Why it failed or is retried."""
    traceback: str | None = None
    keep_traces: int | None = None
    """How many tracebacks of the job stay, the newest. None: those of all attempts that are kept. A
    store that finds it among the job's options need not look here."""
    wait_ms: int = 0
    """`retried`, `snoozed`: how long until the job may run again. 0: at once."""
    until_ms: int | None = None
    """`snoozed`: a moment in place of `wait_ms`."""
    attempt: int = 1
    """The number of the attempt, from 1: how often the job has been started."""
    attempts_made: int = 0
    """Attempts that count, this one included if it counts."""
    exhausted: bool = False
    """`failed`: the job had no attempts left."""
    keep_count: int | None = None
    """`completed`, `failed`: how many finished jobs the queue keeps, by the keep policy of the job
    or of its task. None: no limit. 0: not even this one."""
    keep_age_ms: int | None = None
    worker_id: str = ""
    started_ms: int = 0
    lifo: bool = False
    follow_ups: list[NewJob] | None = None
    """Jobs that the store adds in the same transaction. `failed`: its dead letter."""
    dead_letter: str | None = None
    """`failed`: the dead-letter queue that the task names. None: the queue's rule counts."""
    unknown_since_ms: int | None = None
    """`snoozed`: no worker that took the job has had a task of its name, since this moment. In the
    history this attempt takes the place of the last one, if that says the same."""
    unwanted: bool = False
    """`failed`: somebody cancelled the job, or the task itself did. It leaves no letter."""

    @classmethod
    def of(cls, claimed: Claimed, kind: OutcomeKind, worker_id: str, *, counts: bool) -> Finished:
        """Return an outcome of a claimed job. `counts`: the attempt counts as made."""
        return cls(
            queue=claimed.queue,
            number=claimed.number,
            job_id=claimed.id,
            token=claimed.token,
            kind=kind,
            name=claimed.name,
            waited_ms=claimed.waited_ms,
            attempt=claimed.attempts_started,
            attempts_made=claimed.attempts_made + counts,
            worker_id=worker_id,
            started_ms=claimed.started_ms,
        )

    @classmethod
    def given_back(cls, claimed: Claimed, worker_id: str) -> Finished:
        """Return the outcome that puts a claimed job back in line without counting an attempt.

        The store ignores it if the worker has lost the lease.
        """
        return cls.of(claimed, "released", worker_id, counts=False)


class Attempt(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    """One attempt that has ended."""

    number: int
    started_ms: int
    ended_ms: int
    worker_id: str
    outcome: str
    """`completed`, `failed`, `retried`, `snoozed`, `released`, `waiting_children` or `stalled`."""
    error: str | None = None
    traceback: str | None = None
    unknown_since_ms: int | None = None
    """`snoozed`, as the worker has no task of the job's name: since when that is so."""


def with_last_attempt(written: list[Attempt], last: Attempt) -> list[Attempt]:
    """Return a finished job's attempts: those written down, and the last one if it is not.

    A store does not write a final success, which shows in the job's own fields; and workers of
    BullMQ write no history at all. `JobRecord.history` undoes this.

    Parameters:
        written: The job's stored history, oldest first. It is changed.
        last: The last attempt, as the job's own fields tell it.
    """
    newest = written[-1] if written else None
    # A number alone may come again: a retried job may begin to count anew.
    if newest is None or (newest.number, newest.started_ms) != (last.number, last.started_ms):
        written.append(last)
        del written[:-MAX_HISTORY]
    return written


def unknown_since_ms(attempts: list[Attempt], *, before: int) -> int | None:
    """Return since when a job waits for a worker that has its task. None: it does not.

    Parameters:
        attempts: Its history, oldest first.
        before: The number of the attempt that has just begun, or comes next.
    """
    passed_over = 0
    for attempt in reversed(attempts):
        if attempt.outcome in ("released", "stalled"):  # a worker had it, and did not look
            passed_over += 1
            continue
        # Of an older number: the job has run since, which a final success does not write down.
        recent = 0 < before - attempt.number <= passed_over + 1
        return attempt.unknown_since_ms if recent else None
    return None


class JobRecord(msgspec.Struct, kw_only=True):
    """A job with everything that the store knows about it."""

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
    """`delayed`: when the job may run."""
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
    """`active`: time until the lease expires. 0 or less: it has expired."""
    deferred_failure: str | None
    cancel_reason: str | None
    attempts: list[Attempt]
    """Oldest first, the newest `MAX_HISTORY`."""
    data_bytes: int
    parent: ParentRef | None = None
    """Whose child it is."""

    @property
    def deduplication_id(self) -> str | None:
        """The de-duplication id that the job was added with."""
        return id_in(self.opts)

    @property
    def unknown_since_ms(self) -> int | None:
        """`delayed`: since when no worker that took it has had a task of its name. None: not so."""
        if self.state is not State.DELAYED:
            return None
        return unknown_since_ms(self.attempts, before=self.attempts_started + 1)

    @property
    def due_ms(self) -> int:
        """The moment by which a store sorts a delayed job: when it may run."""
        return self.timestamp_ms + self.delay_ms if self.run_at_ms is None else self.run_at_ms

    @property
    def ended_ms(self) -> int:
        """The moment by which a store sorts a finished job: its end, or when it was added."""
        return self.timestamp_ms if self.finished_on_ms is None else self.finished_on_ms

    @property
    def history(self) -> list[Attempt]:
        """The attempts that a store writes down: all but a final success (`with_last_attempt`)."""
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
    """A job with its log and its de-duplication id: what a migration copies."""

    record: JobRecord
    log: list[str]
    """Oldest line first."""
    held: HeldId | None = None
    """The de-duplication id that it holds."""
    children: list[ChildRecord] = []
    """What it knows of its children."""
