"""Finding one job, and reading jobs whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from toril.backends.refusals import not_found
from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.calendar import SLACK_MS
from toril.backends.sqlite.reader import View
from toril.backends.sqlite.transaction import QueueRow, Transaction
from toril.core.clock import Clock
from toril.core.errors import WrongStateError
from toril.engine.flow import ParentRef
from toril.engine.job import MAX_HISTORY, Attempt, JobRecord
from toril.engine.states import State

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


class Place(NamedTuple):
    """Where a job stands among those of its state."""

    number: int
    first: int
    second: int
    timestamp_ms: int


def find(view: View, queue_id: int, job_id: str) -> Found | None:
    """Return the job, or None."""
    number = number_of(job_id)
    rows = view.run("job_find", queue_id, number) if number is not None else []
    if not rows:  # a number may be an id of the caller's sort: another queue has it (adopting.py)
        rows = view.run("job_find_custom", queue_id, job_id)
    if not rows:
        return None
    row = rows[0]
    return Found(row[0], State(row[1]), *row[2:])


def find_many(view: View, queue_id: int, job_ids: Sequence[str]) -> list[tuple[int, State] | None]:
    """Return the number and the state of jobs, in the order given; None for those not there."""
    ids = [(number_of(job_id), job_id) for job_id in job_ids]
    rows = view.run("jobs_find", msgspec.json.encode(ids).decode(), queue_id)
    return [None if number is None else (number, State(state)) for number, state in rows]


def number_of(job_id: str) -> int | None:
    """Return the job number that an id is; None if it was chosen by the caller."""
    if job_id.isascii() and job_id.isdigit() and len(job_id) <= _MAX_DIGITS and job_id[0] != "0":
        return int(job_id)
    return None


def require_job(
    transaction: Transaction,
    queue: str,
    job_id: str,
    *,
    states: Sequence[State] | None = None,
    verb: str = "",
) -> tuple[QueueRow, Found]:
    """Return the job and its queue.

    Raises:
        JobNotFoundError: There is none.
        WrongStateError: It is in none of `states`.
    """
    row = transaction.known_queue(queue)
    found = None if row is None else find(transaction, row.id, job_id)
    if row is None or found is None:
        raise not_found(queue, job_id)
    if states is not None and found.state not in states:
        expected = " or ".join(states)
        raise WrongStateError(
            f"job {job_id!r} of queue {queue!r} is {found.state};"
            f" only {expected} ones can be {verb}",
            job_id=job_id,
            queue=queue,
        )
    return row, found


def places(
    view: View,
    queue_id: int,
    state: State,
    *,
    limit: int,
    after: tuple[int, int] | None = None,
    newest_first: bool = False,
) -> list[Place]:
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
    return [Place(*row) for row in rows]


def read(view: View, queue: str, numbers: Sequence[int], clock: Clock) -> list[JobRecord]:
    """Return the records of jobs, in the order given; those that are gone are left out."""
    rows = view.run("jobs_read", msgspec.json.encode(numbers).decode())
    return [_record(queue, row, clock) for row in rows]


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


def _run_at_ms(row: tuple[Any, ...], clock: Clock) -> int | None:
    """Return when a delayed job may run: sooner than its moment if a wrong calendar has set it.

    Two clocks are not read in one instant: a moment that is nearly right is shown as it stands.
    """
    due_ms: int | None = row[9]
    if due_ms is None or row[24] is None or row[24] != boot_of(clock):
        return due_ms
    over_ms: int = clock.now_ms() + row[25] - clock.steady_ms()
    return over_ms if due_ms - over_ms > SLACK_MS else due_ms


def _record(queue: str, row: tuple[Any, ...], clock: Clock) -> JobRecord:
    state = State(row[3])
    attempts = _history(row[22])
    if state is State.COMPLETED and row[16] is not None:  # a final success is not written twice
        attempts.append(
            Attempt(
                number=row[11],
                started_ms=row[16],
                ended_ms=row[17],
                worker_id=row[18] or "",
                outcome="completed",
            )
        )
        del attempts[:-MAX_HISTORY]
    return JobRecord(
        id=row[1],
        queue=queue,
        name=row[2],
        state=state,
        data=row[4],
        opts=row[5],
        priority=row[6],
        timestamp_ms=row[7],
        delay_ms=row[8],
        run_at_ms=_run_at_ms(row, clock),
        attempts_made=row[10],
        attempts_started=row[11],
        stalled=row[12],
        progress="0" if row[13] is None else row[13],
        result=row[14],
        failed_reason=row[15],
        processed_on_ms=row[16],
        finished_on_ms=row[17],
        worker_id=row[18],
        lease_remaining_ms=None
        if state is not State.ACTIVE
        else (row[19] or 0) - clock.steady_ms(),
        deferred_failure=row[20],
        cancel_reason=row[21],
        attempts=attempts,
        data_bytes=row[23],
        parent=read_parent(row[26]),
    )
