"""Finds jobs by id or by state, and reads them whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from toril.backends.refusals import not_found, wrong_state
from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.calendar import SLACK_MS
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import View
from toril.backends.sqlite.transaction import Transaction
from toril.core.clock import Clock
from toril.core.errors import WrongStateError
from toril.engine.flow import ParentRef
from toril.engine.job import Attempt, JobRecord, with_last_attempt
from toril.engine.states import ALLOWED, State, Verb

_MAX_DIGITS = 18
_FAR = 2**62
_BEFORE_ALL = (-_FAR, -_FAR)
_AFTER_ALL = (_FAR, _FAR)
_UNPRIORITIZED = (0, _FAR)
"""In the order of the line: after all jobs of `wait`, before all of `prioritized`."""


class Found(NamedTuple):
    """What a transition needs to know of a job."""

    number: int
    state: State
    priority: int
    id: str


class JobRow(NamedTuple):
    """A row of `jobs_read.sql`."""

    number: int
    id: str
    name: str
    state: str
    data: str
    opts: str
    priority: int
    timestamp_ms: int
    delay_ms: int
    due_ms: int | None
    attempts_made: int
    attempts_started: int
    stalled: int
    progress: str | None
    result: str | None
    failed_reason: str | None
    processed_ms: int | None
    finished_ms: int | None
    worker_id: str | None
    lease_ends_ms: int | None
    deferred_failure: str | None
    cancel_reason: str | None
    history: str | None
    data_bytes: int
    boot: int | None
    due_steady_ms: int | None
    parent: str | None


class SortKey(NamedTuple):
    """Where a job stands among those of its state."""

    number: int
    first: int
    second: int
    timestamp_ms: int


def find(view: View, queue_id: int, job_id: str) -> Found | None:
    """Return the job, or None."""
    number = number_of(job_id)
    rows = view.run("job_find", queue_id, number) if number is not None else []
    if not rows:  # a number may be an id of the caller's sort: another queue has it (moving.py)
        rows = view.run("job_find_custom", queue_id, job_id)
    if not rows:
        return None
    row = rows[0]
    return Found(row[0], known_state(row[1], row[0], job_id), *row[2:])


def known_state(word: str, number: int, job_id: str, queue: str = "") -> State:
    """Return the state of a job.

    Raises:
        WrongStateError: It is none of ours: somebody has edited the file.
    """
    try:
        return State(word)
    except ValueError:
        raise WrongStateError(
            f"job {job_id!r} is in the state {word!r}, which is none of {', '.join(State)}:"
            " somebody has edited the file. Give the row of that number"
            f" ({number}) in its table jobs its old state back",
            job_id=job_id,
            queue=queue,
        ) from None


def queue_id(view: View, queue: str) -> int | None:
    """Return the number of a queue. None: it does not exist."""
    rows = view.run("queue_get", queue)
    return None if not rows else QueueRow(rows[0]).id


def find_in(view: View, queue: str, job_id: str) -> Found | None:
    """Return the job of a queue that is given by name, or None."""
    number = queue_id(view, queue)
    return None if number is None else find(view, number, job_id)


def find_many(view: View, queue_id: int, job_ids: Sequence[str]) -> list[tuple[int, State] | None]:
    """Return the number and the state of jobs, in the order given; None for those not there."""
    ids = [(number_of(job_id), job_id) for job_id in job_ids]
    rows = view.run("jobs_find", msgspec.json.encode(ids).decode(), queue_id)
    return [
        None if number is None else (number, known_state(state, number, job_id))
        for (number, state), job_id in zip(rows, job_ids, strict=True)
    ]


def ids_of(view: View, numbers: Sequence[int]) -> list[str]:
    """Return the ids of jobs that are there, in the order given."""
    rows = view.run("job_ids", msgspec.json.encode(numbers).decode()) if numbers else []
    return [job_id for (job_id,) in rows]


def number_of(job_id: str) -> int | None:
    """Return the job number that an id is; None if it was chosen by the caller."""
    if job_id.isascii() and job_id.isdigit() and len(job_id) <= _MAX_DIGITS and job_id[0] != "0":
        return int(job_id)
    return None


def require_job(
    transaction: Transaction, queue: str, job_id: str, verb: Verb | None = None
) -> tuple[QueueRow, Found]:
    """Return a job and its queue.

    Raises:
        JobNotFoundError: The job does not exist.
        WrongStateError: `verb` is not allowed in the state of the job.
    """
    row = transaction.find_queue(queue)
    found = None if row is None else find(transaction, row.id, job_id)
    if row is None or found is None:
        raise not_found(queue, job_id)
    if verb is not None and found.state not in ALLOWED[verb]:
        raise wrong_state(queue, job_id, found.state, verb)
    return row, found


def places(
    view: View,
    queue_id: int,
    state: State,
    *,
    limit: int,
    after: tuple[int, int] | None = None,
    newest_first: bool = False,
) -> list[SortKey]:
    """Return up to `limit` jobs of a state in its order, from behind the place `after`."""
    back = "_back" if newest_first else ""
    start = after or (_AFTER_ALL if newest_first else _BEFORE_ALL)
    match state:
        case State.DELAYED:
            rows = view.run(f"list_delayed{back}", queue_id, *start, limit)
        case State.ACTIVE:
            rows = view.run(f"list_active{back}", queue_id, *start, limit)
        case State.COMPLETED | State.FAILED:
            rows = view.run(f"list_finished{back}", queue_id, state.value, *start, limit)
        case State.WAIT | State.PRIORITIZED:
            waits = state is State.WAIT
            low, high = (_BEFORE_ALL, _UNPRIORITIZED) if waits else (_UNPRIORITIZED, _AFTER_ALL)
            if newest_first:
                high = after or high
            else:
                low = after or low
            rows = view.run(f"list_line{back}", queue_id, *low, *high, limit)
        case State.WAITING_CHILDREN:
            rows = view.run(f"list_parents{back}", queue_id, *start, limit)
    return [SortKey(*row) for row in rows]


def read(view: View, queue: str, numbers: Sequence[int], clock: Clock) -> list[JobRecord]:
    """Return the records of jobs, in the order given; those that are gone are left out."""
    rows = view.run("jobs_read", msgspec.json.encode(numbers).decode())
    return [_record(queue, JobRow(*row), clock) for row in rows]


def _history(text: str | None) -> list[Attempt]:
    """Return the attempts that a row holds. Nonsense, which none of ours has written, is none."""
    try:
        return [] if text is None else msgspec.json.decode(text, type=list[Attempt])
    except (ValueError, RecursionError):
        return []


def read_parent(text: str | None) -> ParentRef | None:
    """Return the parent that a row names. Nonsense, which none of ours has written, is none."""
    try:
        return None if text is None else msgspec.json.decode(text, type=ParentRef)
    except (ValueError, RecursionError):
        return None


def _run_at_ms(row: JobRow, clock: Clock) -> int | None:
    """Return when a delayed job may run: sooner than its moment if a wrong calendar has set it.

    Two clocks are not read in one instant: a moment that is nearly right is shown as it stands.
    """
    due_ms = row.due_ms
    if row.state != State.DELAYED:  # since when a parent waits for its children stands there too
        return None
    if due_ms is None or row.due_steady_ms is None or row.boot != boot_of(clock):
        return due_ms
    over_ms = clock.now_ms() + row.due_steady_ms - clock.steady_ms()
    return over_ms if due_ms - over_ms > SLACK_MS else due_ms


def _record(queue: str, row: JobRow, clock: Clock) -> JobRecord:
    state = known_state(row.state, row.number, row.id, queue)
    attempts = _history(row.history)
    if state is State.COMPLETED and row.processed_ms is not None and row.finished_ms is not None:
        last = Attempt(
            number=row.attempts_started,
            started_ms=row.processed_ms,
            ended_ms=row.finished_ms,
            worker_id=row.worker_id or "",
            outcome="completed",
        )
        attempts = with_last_attempt(attempts, last)
    return JobRecord(
        id=row.id,
        queue=queue,
        name=row.name,
        state=state,
        data=row.data,
        opts=row.opts,
        priority=row.priority,
        timestamp_ms=row.timestamp_ms,
        delay_ms=row.delay_ms,
        run_at_ms=_run_at_ms(row, clock),
        attempts_made=row.attempts_made,
        attempts_started=row.attempts_started,
        stalled=row.stalled,
        progress="0" if row.progress is None else row.progress,
        result=row.result,
        failed_reason=row.failed_reason,
        processed_on_ms=row.processed_ms,
        finished_on_ms=row.finished_ms,
        worker_id=row.worker_id,
        lease_remaining_ms=None
        if state is not State.ACTIVE
        else (row.lease_ends_ms or 0) - clock.steady_ms(),
        deferred_failure=row.deferred_failure,
        cancel_reason=row.cancel_reason,
        attempts=attempts,
        data_bytes=row.data_bytes,
        parent=read_parent(row.parent),
    )
