"""Adding jobs: the transition that producers, follow-ups and later schedules share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

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
    for job in jobs:
        queue = transaction.queue(job.queue)
        job_id = job.job_id
        if job_id is not None:
            if (queue.id, job_id) in taken:
                queue.say(EventName.DUPLICATED, job_id)
                answers.append(Added(job_id, duplicate=True))
                continue
            taken.add((queue.id, job_id))
        shown_id = str(number) if job_id is None else job_id
        timestamp_ms = now_ms if job.timestamp_ms is None else job.timestamp_ms
        due_ms = job.run_at_ms if job.run_at_ms is not None else timestamp_ms + job.delay_ms
        queue.say(EventName.ADDED, shown_id, {"name": job.name})
        if job.delay_ms > 0 or (job.run_at_ms is not None and job.run_at_ms > now_ms):
            state = State.DELAYED
            queue.say(EventName.DELAYED, shown_id, {"delay": str(due_ms)})
        else:
            state = ready_state(job.priority)
            queue.say(EventName.WAITING, shown_id)
        queue.counts[state] += 1
        rows.append(
            (
                number,
                queue.id,
                job_id,
                job.name,
                job.data,
                job.opts,
                state.value,
                job.priority,
                -ticket if job.lifo and state is not State.DELAYED else ticket,
                timestamp_ms,
                max(0, due_ms - timestamp_ms),
                due_ms if state is State.DELAYED else None,
            )
        )
        answers.append(Added(shown_id))
        number += 1
        ticket += 1
    if rows:
        transaction.run("jobs_add", msgspec.json.encode(rows).decode())
        transaction.readied = True  # a delayed one too: those who sleep must look at the time
    return answers


def ready_state(priority: int) -> State:
    """Return the state in which a ready job of this priority waits."""
    return State.PRIORITIZED if priority > 0 else State.WAIT


def _taken_ids(transaction: Transaction, jobs: Sequence[NewJob]) -> set[tuple[int, str]]:
    own = [(transaction.queue(job.queue).id, job.job_id) for job in jobs if job.job_id is not None]
    if not own:
        return set()
    found = transaction.value("jobs_taken", msgspec.json.encode(own).decode())
    return {(queue_id, job_id) for queue_id, job_id in msgspec.json.decode(found)}
