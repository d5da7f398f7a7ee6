"""Recovers the jobs of dead workers, and removes old finished jobs.

A dead worker's job counts as stalled if it was begun, and not if it was only claimed. Its worker
renews a lease while the job runs, at once for one that was given back or lost before; a lease that
was renewed ends at an odd millisecond, and one that was not at an even one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.calendar import believed_ms
from toril.backends.sqlite.schedules import is_of_schedule
from toril.backends.sqlite.settling import trim_oldest
from toril.backends.sqlite.transaction import Transaction
from toril.engine.contract.dispatch import Recovery
from toril.engine.events import EventName
from toril.engine.job import Attempt
from toril.engine.states import State

STALLED_REASON = "job stalled more than allowable limit"
"""Part of the stored format (spec, section 5.6)."""
STOPPED = "its worker stopped renewing the lease"
NOT_BEGUN = "its worker ended before it had begun"


def recover_jobs(
    transaction: Transaction, *, max_stalled: int, heartbeat_s: float, limit: int
) -> Recovery:
    """Put jobs whose lease has ended, or whose worker is dead, at the front of their line."""
    steady_ms = transaction.steady_ms
    silent_since_ms = steady_ms - round(heartbeat_s * 1000)
    transaction.flush()
    lapsed = transaction.run("lapsed", steady_ms, silent_since_ms, limit)
    recovery = _put_back(transaction, lapsed, max_stalled)
    if len(lapsed) < limit:
        transaction.run("workers_bury", silent_since_ms, steady_ms)
    oldest_ms = transaction.value("workers_oldest")
    if oldest_ms is None:
        return recovery
    look_again_ms = max(0, oldest_ms - silent_since_ms)
    return Recovery(recovery.recovered, recovery.quarantined, look_again_ms)


def take_back_lapsed(
    transaction: Transaction, queue: str, *, max_stalled: int, limit: int
) -> list[str]:
    """Put up to `limit` jobs of a queue whose lease has ended at the front of their line.

    The latest first: where there are more, the next call puts the longest running in front. A job
    of a dead worker stays if its lease has not ended. Returns the ids.
    """
    transaction.flush()
    rows = transaction.run("doctor_lapsed", transaction.steady_ms)
    lapsed = [row for row in rows if row[1] == queue][-limit:]
    return [job_id for _, job_id in _put_back(transaction, lapsed, max_stalled).recovered]


def _put_back(
    transaction: Transaction, lapsed: Sequence[tuple[Any, ...]], max_stalled: int
) -> Recovery:
    recovered: list[tuple[str, str]] = []
    quarantined: list[tuple[str, str]] = []
    moves: list[tuple[Any, ...]] = []
    # The longest running one goes to the front last, and so runs first.
    for job in reversed(lapsed):
        number, queue, job_id, priority, stalled, worker_id = job[:6]
        processed_ms, started, cancelled, counts = job[6:]
        row = transaction.queue(queue)
        state = ready_state(priority)
        attempt = Attempt(
            number=started,
            started_ms=processed_ms,
            ended_ms=transaction.now_ms,
            worker_id=worker_id,
            outcome="stalled",
            error=STOPPED if counts else NOT_BEGUN,
        )
        deferred = cancelled  # nobody wants it to run again
        if (
            deferred is None
            and stalled + counts > max_stalled
            and not is_of_schedule(transaction, row, job_id)
        ):
            deferred = STALLED_REASON
        if deferred is not None:
            quarantined.append((queue, job_id))
        recovered.append((queue, job_id))
        moves.append(
            (
                number, state.value, -transaction.tickets(1), None, None, None, None, attempt,
                None, counts, deferred,
            )
        )  # fmt: skip
        row.moved(State.ACTIVE, state)
        row.say(EventName.WAITING, job_id, {"prev": "active"})
        row.say(EventName.STALLED, job_id)
    if moves:
        transaction.run("move", msgspec.json.encode(moves).decode())
        transaction.readied = True
    return Recovery(recovered, quarantined)


def trim_jobs(transaction: Transaction, limit: int) -> int:
    """Remove up to `limit` finished jobs that are older than their queue keeps them.

    On the way, waits that were noted before the host started anew are noted by its clock of now.
    """
    removed = 0
    now_ms = believed_ms(transaction)
    for name in transaction.queue_names():
        row = transaction.queue(name)
        if row.counts[State.DELAYED]:
            host = (transaction.boot, transaction.steady_ms, transaction.now_ms)
            transaction.run("jobs_wait_anew", *host, row.id, limit)
        for state, age_ms in (
            (State.COMPLETED, row.keep_completed_age_ms),
            (State.FAILED, row.keep_failed_age_ms),
        ):
            if age_ms is not None and row.counts[state] and removed < limit:
                removed += trim_oldest(
                    transaction,
                    row,
                    state,
                    limit=limit - removed,
                    until_ms=now_ms - age_ms,
                )
    return removed
