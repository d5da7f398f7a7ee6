"""Taking over jobs from another store, as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.deduplicating import adopt_hold
from toril.backends.sqlite.lookup import find_many, number_of
from toril.backends.sqlite.transaction import Transaction
from toril.engine.deduplication import HeldId
from toril.engine.flow import ChildRecord
from toril.engine.job import JobRecord, WholeJob
from toril.engine.states import FINISHED, READY, State

LARGEST_NUMBER = 10**15
"""A larger one was no queue's: the numbers of new jobs do not go on from there."""


def adopt_jobs(transaction: Transaction, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
    """Add jobs that are not there yet, and return for each whether it was added.

    A job keeps its id. Where this is a number, it is also the number of the row, unless some queue
    has that one: each queue of the other store may have counted for itself. The id is then kept as
    one that a caller has chosen.
    """
    row = transaction.queue(queue)
    there = find_many(transaction, row.id, [job.record.id for job in jobs])
    numbers = [_own_number(job.record.id) for job in jobs]
    transaction.pass_job_number(
        max((number for number in numbers if number is not None), default=0)
    )
    wanted = msgspec.json.encode([number for number in numbers if number is not None]).decode()
    taken = {number for (number,) in transaction.run("numbers_taken", wanted)}
    spare = transaction.job_numbers(len(jobs))
    ticket = transaction.tickets(len(jobs))
    seen: set[str] = set()
    answers: list[bool] = []
    rows: list[tuple[Any, ...]] = []
    lines: list[tuple[int, int, str]] = []
    held: list[tuple[int, str, HeldId]] = []
    children: list[tuple[int, str, str, int, str, str | None]] = []
    for index, (job, number) in enumerate(zip(jobs, numbers, strict=True)):
        record = job.record
        answers.append(there[index] is None and record.id not in seen)
        if not answers[-1]:
            continue
        seen.add(record.id)
        custom_id = None
        if number is None or number in taken:
            number, custom_id = spare + index, record.id
        state = ready_state(record.priority) if record.state in READY else record.state
        columns = _columns(record, transaction.now_ms)
        rows.append((number, row.id, custom_id, state.value, ticket + index, *columns))
        lines += [(number, place, line) for place, line in enumerate(job.log, start=1)]
        if job.held is not None:
            held.append((number, record.id, job.held))
        row.moved(None, state)
        if record.parent is not None or job.children:
            row.flows = 1
        children += [
            (number, child.queue, child.job_id, place, child.fate, _value(child))
            for place, child in enumerate(job.children, start=1)
        ]
        row.completed_total += state is State.COMPLETED
        row.failed_total += state is State.FAILED
        transaction.readied = transaction.readied or state not in FINISHED
    if rows:
        transaction.run("jobs_adopt", msgspec.json.encode(rows).decode())
    if lines:
        transaction.run("logs_add", msgspec.json.encode(lines).decode())
    if children:
        transaction.run("children_add", msgspec.json.encode(children).decode())
    for number, job_id, one in held:
        adopt_hold(transaction, row, number, job_id, one)
    return answers


def _own_number(job_id: str) -> int | None:
    number = number_of(job_id)
    return number if number is not None and number <= LARGEST_NUMBER else None


def _columns(record: JobRecord, now_ms: int) -> tuple[Any, ...]:
    """Return the rest of a row for `jobs_adopt.sql`."""
    due_ms = finished_ms = None
    if record.state is State.DELAYED:
        due_ms = record.run_at_ms
        if due_ms is None:
            due_ms = record.timestamp_ms + record.delay_ms
    elif record.state is State.WAITING_CHILDREN:
        due_ms = now_ms
    elif record.state in FINISHED:
        # Without a moment it would have no place among those that have finished.
        finished_ms = record.finished_on_ms
        if finished_ms is None:
            finished_ms = record.timestamp_ms
    history = msgspec.json.encode(record.history).decode() if record.history else None
    return (
        due_ms, finished_ms, record.name, record.data, record.opts, record.priority,
        record.timestamp_ms, record.delay_ms, record.attempts_started, record.attempts_made,
        record.stalled, record.processed_on_ms, record.worker_id,
        None if record.progress == "0" else record.progress, record.deferred_failure,
        record.cancel_reason, record.failed_reason, record.result, history,
        None if record.parent is None else msgspec.json.encode(record.parent).decode(),
    )  # fmt: skip


def _value(child: ChildRecord) -> str | None:
    return child.value if child.fate == "completed" else child.failed_reason
