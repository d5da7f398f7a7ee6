"""What a migration needs: read jobs whole, adopt them as they are, remove them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.deduplication import adopt_hold, held_by
from toril.backends.sqlite.lookup import find_many, number_of, queue_id
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.schedules import next_jobs
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.deduplication import HeldId
from toril.engine.flow import ChildRecord
from toril.engine.job import JobRecord, WholeJob
from toril.engine.states import FINISHED, READY, State

LARGEST_NUMBER = 10**15
"""No queue has given a larger number to a job: new numbers do not go on from there."""


class SqliteMoving:
    """The role `Moving`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def logs(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        def question(view: View) -> list[list[str]]:
            lines: list[list[str]] = [[] for _ in job_ids]
            number = queue_id(view, queue)
            found = [] if number is None else find_many(view, number, job_ids)
            numbers = [None if job is None else job[0] for job in found]
            for index, line in view.run("logs_read", msgspec.json.encode(numbers).decode()):
                lines[index].append(line)
            return lines

        return await self._reader.ask(question)

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        def question(view: View) -> list[HeldId | None]:
            row_id = queue_id(view, queue)
            if row_id is None:
                return [None] * len(job_ids)
            found = find_many(view, row_id, job_ids)
            numbers = [None if job is None else job[0] for job in found]
            held = held_by(view, row_id, numbers, self._clock)
            return [None if number is None else held.get(number) for number in numbers]

        return await self._reader.ask(question)

    async def adopt(self, queue: str, jobs: Sequence[WholeJob]) -> list[bool]:
        return await self._writer.run(lambda transaction: adopt_jobs(transaction, queue, jobs))

    async def remove(self, queue: str, state: State, job_ids: Sequence[str]) -> list[bool]:
        def transition(transaction: Transaction) -> list[bool]:
            row = transaction.find_queue(queue)
            if row is None:
                return [False] * len(job_ids)
            found = find_many(transaction, row.id, job_ids)
            kept = next_jobs(transaction, row)
            numbers = dict.fromkeys(
                job[0]
                for job in found
                if job is not None and job[1] is state and job[0] not in kept
            )
            remove_jobs(transaction, row, state, list(numbers), moved=True)
            # An id that was given twice goes once.
            return [job is not None and numbers.pop(job[0], True) is None for job in found]

        return await self._writer.run(transition)


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
    rows: list[dict[str, Any]] = []
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
        place: dict[str, Any] = {
            "number": number,
            "queue_id": row.id,
            "custom_id": custom_id,
            "state": state,
            "position": ticket + index,
        }
        rows.append(place | _columns(record, transaction.now_ms))
        lines += [(number, index, line) for index, line in enumerate(job.log, start=1)]
        if job.held is not None:
            held.append((number, record.id, job.held))
        row.moved(None, state)
        if record.parent is not None or job.children:
            row.flows = 1
        children += [
            (number, child.queue, child.job_id, rank, child.fate, _value(child))
            for rank, child in enumerate(job.children, start=1)
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


def _columns(record: JobRecord, now_ms: int) -> dict[str, Any]:
    """Return the columns of `jobs_adopt.sql` that a job's record says."""
    history = msgspec.json.encode(record.history).decode() if record.history else None
    due_ms = record.due_ms if record.state is State.DELAYED else None
    if record.state is State.WAITING_CHILDREN:
        due_ms = now_ms
    parent = record.parent
    return {
        "due_ms": due_ms,
        "finished_ms": record.ended_ms if record.state in FINISHED else None,
        "name": record.name,
        "data": record.data,
        "opts": record.opts,
        "priority": record.priority,
        "timestamp_ms": record.timestamp_ms,
        "delay_ms": record.delay_ms,
        "attempts_started": record.attempts_started,
        "attempts_made": record.attempts_made,
        "stalled": record.stalled,
        "processed_ms": record.processed_on_ms,
        "worker_id": record.worker_id,
        "progress": None if record.progress == "0" else record.progress,
        "deferred_failure": record.deferred_failure,
        "cancel_reason": record.cancel_reason,
        "failed_reason": record.failed_reason,
        "result": record.result,
        "history": history,
        "parent": None if parent is None else msgspec.json.encode(parent).decode(),
    }


def _value(child: ChildRecord) -> str | None:
    return child.value if child.fate == "completed" else child.failed_reason
