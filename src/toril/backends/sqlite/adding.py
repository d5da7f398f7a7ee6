"""Adds jobs: the transition that producers and follow-up jobs share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.deduplication import deduplicate
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.transaction import Transaction
from toril.engine.events import EventName
from toril.engine.job import Added, NewJob
from toril.engine.states import State


def add_jobs(transaction: Transaction, jobs: Sequence[NewJob]) -> list[Added]:
    """Add jobs and return an answer for each, in order."""
    taken = _taken_ids(transaction, jobs)
    number = transaction.job_numbers(len(jobs))
    ticket = transaction.tickets(len(jobs))
    now_ms = transaction.now_ms
    rows: list[tuple[Any, ...]] = []
    answers: list[Added] = []
    queue: QueueRow | None = None
    named: dict[str, dict[str, str]] = {}
    waits: list[tuple[int, int]] = []
    for job in jobs:  # the one loop over each added job: nothing is done in it that can be shared
        if queue is None or queue.name != job.queue:
            queue = transaction.queue(job.queue)
        job_id, name, priority = job.job_id, job.name, job.priority
        if job_id is None:
            shown_id = str(number)
        else:
            shown_id = job_id
            if (queue.id, job_id) in taken:
                queue.say(EventName.DUPLICATED, job_id)
                answers.append(Added(job_id, duplicate=True))
                continue
        if job.deduplication is not None:
            _store(transaction, rows, waits)  # its id may be that of one of these
            rows, waits = [], []
            holder = deduplicate(transaction, queue, number, ticket, shown_id, job)
            if holder is not None:
                answers.append(Added(holder, duplicate=True))
                number += 1
                ticket += 1
                continue
            taken = _taken_ids(transaction, jobs)  # it may have taken the place of one
        if job_id is not None:
            taken.add((queue.id, job_id))
        queue.say(
            EventName.ADDED, shown_id, named.get(name) or named.setdefault(name, {"name": name})
        )
        timestamp_ms = now_ms if job.timestamp_ms is None else job.timestamp_ms
        delay_ms, due_ms, place = 0, None, -ticket if job.lifo else ticket
        if job.delay_ms or job.run_at_ms is not None:
            due_ms = job.due_ms(timestamp_ms)
            delay_ms = max(0, due_ms - timestamp_ms)
        if due_ms is not None and (job.delay_ms or due_ms > now_ms):
            state, place = State.DELAYED, ticket
            queue.say(EventName.DELAYED, shown_id, {"delay": str(due_ms)})
            if job.run_at_ms is None:
                waits.append((number, transaction.steady_ms + max(0, due_ms - now_ms)))
        else:
            state, due_ms = State.PRIORITIZED if priority else State.WAIT, None
            queue.say(EventName.WAITING, shown_id)
        queue.counts[state] += 1
        rows.append(
            (
                number, queue.id, job_id, name, job.data, job.opts, state, priority, place,
                timestamp_ms, delay_ms, due_ms,
            )
        )  # fmt: skip
        answers.append(Added(shown_id))
        number += 1
        ticket += 1
    _store(transaction, rows, waits)
    return answers


def _store(
    transaction: Transaction,
    rows: Sequence[tuple[Any, ...]],
    waits: Sequence[tuple[int, int]],
) -> None:
    """Store new jobs.

    Parameters:
        rows: For `jobs_add.sql`.
        waits: Of those that are delayed for a duration: number, and when it is over, steady clock.
    """
    if rows:
        if len(rows) == 1:  # by far the commonest, and half the work without JSON
            transaction.run("job_add", *rows[0])
        else:
            transaction.run("jobs_add", msgspec.json.encode(rows).decode())
        if waits:
            transaction.run("jobs_wait", transaction.boot, msgspec.json.encode(waits).decode())
        transaction.readied = True  # a delayed one too: those who sleep must look at the time


def ready_state(priority: int) -> State:
    """Return the state in which a ready job of this priority waits."""
    return State.PRIORITIZED if priority > 0 else State.WAIT


def _taken_ids(transaction: Transaction, jobs: Sequence[NewJob]) -> set[tuple[int, str]]:
    own = [(transaction.queue(job.queue).id, job.job_id) for job in jobs if job.job_id is not None]
    if not own:
        return set()
    found = transaction.value("jobs_taken", msgspec.json.encode(own).decode())
    return {(queue_id, job_id) for queue_id, job_id in msgspec.json.decode(found)}
