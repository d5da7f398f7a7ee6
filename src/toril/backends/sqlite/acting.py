"""What a step of an operation does to some jobs of one state, within its transaction."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.backends.sqlite.bulk import JobKey, promote_jobs, revive_jobs
from toril.backends.sqlite.deduplication import held_by
from toril.backends.sqlite.jobs import cancel_job
from toril.backends.sqlite.lookup import Found, find, number_of, read
from toril.backends.sqlite.moving import adopt_jobs
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.schedules import next_jobs
from toril.backends.sqlite.ties import PREFIX, read_ties
from toril.backends.sqlite.transaction import Transaction
from toril.core.clock import Clock
from toril.engine.contract.operations import Act
from toril.engine.events import EventName
from toril.engine.flow import ChildRecord
from toril.engine.job import WholeJob
from toril.engine.states import FINISHED, READY, State

_FAR_MS = 2**62
_MOST_CHILDREN = 100_000


def act_on(
    transaction: Transaction, row: QueueRow, act: Act, operation_id: str, clock: Clock
) -> int:
    """Do an act to those of its jobs that are still in its state; return to how many."""
    ids = dict.fromkeys(act.ids)
    wanted = msgspec.json.encode([(number_of(job_id), job_id) for job_id in ids]).decode()
    until_ms = _FAR_MS if act.ended_until_ms is None else act.ended_until_ms
    rows = transaction.run("operation_jobs", wanted, row.id, act.state.value, until_ms)
    found: list[JobKey] = [(number, job_id, priority) for number, job_id, priority in rows]
    if not found:
        return 0
    match act.verb:
        case "retry":
            revive_jobs(transaction, row, act.state, found, reset_attempts=act.reset_attempts)
        case "promote":
            promote_jobs(transaction, row, found)
        case "cancel":
            for number, job_id, priority in found:
                cancel_job(transaction, row, Found(number, act.state, priority, job_id), act.reason)
        case "remove":
            found = _not_next(transaction, row, found)
            if act.keep_ms > 0:
                bodies = [
                    msgspec.json.encode(job).decode()
                    for job in whole_jobs(transaction, row, found, clock)
                ]
                until_ms = transaction.now_ms + act.keep_ms
                text = msgspec.json.encode(bodies).decode()
                transaction.run("removed_add", operation_id, row.name, until_ms, text)
            remove_jobs(transaction, row, act.state, [number for number, _, _ in found])
            _say(row, found, EventName.REMOVED, act.state)
        case "move":
            found = _move(transaction, row, act, _not_next(transaction, row, found), clock)
    return len(found)


def whole_jobs(
    transaction: Transaction, row: QueueRow, found: Sequence[JobKey], clock: Clock
) -> list[WholeJob]:
    """Return jobs with their logs, de-duplication ids and children."""
    numbers = [number for number, _, _ in found]
    lines: list[list[str]] = [[] for _ in numbers]
    for index, line in transaction.run("logs_read", msgspec.json.encode(numbers).decode()):
        lines[index].append(line)
    held = held_by(transaction, row.id, numbers, clock) if row.deduplicates else {}
    records = read(transaction, row.name, numbers, clock)
    return [
        WholeJob(record, log, held.get(number), _children(transaction, number) if row.flows else [])
        for number, record, log in zip(numbers, records, lines, strict=True)
    ]


def put_back(transaction: Transaction, row: QueueRow, jobs: Sequence[WholeJob]) -> list[bool]:
    """Add jobs that were in this store before; return for each whether its id was free."""
    added = adopt_jobs(transaction, row.name, jobs)
    for job, was_added in zip(jobs, added, strict=True):
        state = job.record.state
        if not was_added:
            continue
        if state in FINISHED:  # it was counted when it finished
            row.completed_total -= state is State.COMPLETED
            row.failed_total -= state is State.FAILED
        elif state is State.DELAYED:
            row.say(EventName.DELAYED, job.record.id, {"delay": str(job.record.due_ms)})
        elif state in READY:
            row.say(EventName.WAITING, job.record.id)
    return added


def _move(
    transaction: Transaction, row: QueueRow, act: Act, found: list[JobKey], clock: Clock
) -> list[JobKey]:
    if row.flows:
        tied = read_ties(transaction, [number for number, _, _ in found])
        found = [key for key in found if key[0] not in tied]
    target = transaction.queue(act.target)
    jobs: list[WholeJob] = []
    for job in whole_jobs(transaction, row, found, clock):
        job_id = job.record.id
        if find(transaction, target.id, job_id) is not None:
            job_id = str(transaction.job_numbers(1))
        record = msgspec.structs.replace(job.record, id=job_id, queue=act.target)
        jobs.append(msgspec.structs.replace(job, record=record))
    remove_jobs(transaction, row, act.state, [number for number, _, _ in found], moved=True)
    put_back(transaction, target, jobs)
    _say(row, found, EventName.REMOVED, act.state)
    return found


def _not_next(transaction: Transaction, row: QueueRow, found: list[JobKey]) -> list[JobKey]:
    """Leave out the next jobs of schedules."""
    kept = next_jobs(transaction, row)
    return [key for key in found if key[0] not in kept]


def _children(transaction: Transaction, number: int) -> list[ChildRecord]:
    rows = transaction.run("children_read", number, 0, _MOST_CHILDREN)
    return [
        ChildRecord(
            key=f"{PREFIX}:{queue}:{job_id}",
            queue=queue,
            job_id=job_id,
            fate=fate,
            value=value if fate == "completed" else None,
            failed_reason=None if fate == "completed" else value,
        )
        for queue, job_id, _, fate, value in rows
    ]


def _say(row: QueueRow, found: Sequence[JobKey], event: EventName, before: State) -> None:
    for _, job_id, _ in found:
        row.say(event, job_id, {"prev": before.value})
