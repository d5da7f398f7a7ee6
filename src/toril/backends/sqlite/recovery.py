"""Recovers the jobs of dead workers, and removes old finished jobs.

A job of a dead worker counts as stalled only if it had begun, that is, if its lease was renewed at
least once. A renewed lease ends at an odd millisecond, one that was never renewed at an even one.
The worker renews soon after the start, and at once if the job was given back or lost before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.calendar import believed_ms
from toril.backends.sqlite.moves import Move, move
from toril.backends.sqlite.outcomes import trim_oldest
from toril.backends.sqlite.schedules import is_of_schedule
from toril.backends.sqlite.transaction import Transaction
from toril.engine.contract.dispatch import Recovery
from toril.engine.contract.workers import LOST_KEPT
from toril.engine.events import EventName
from toril.engine.job import Attempt
from toril.engine.stalled import NOT_BEGUN, STALLED_REASON, STOPPED
from toril.engine.states import State


class Lapsed(NamedTuple):
    """A running job whose lease has ended, or whose worker is dead."""

    number: int
    queue: str
    id: str
    priority: int
    stalled: int
    worker_id: str
    processed_ms: int
    attempts_started: int
    cancel_reason: str | None
    counts: int
    """1 if it counts as a stall: the lease has ended, or was renewed. 0 if it had not begun."""


def recover_jobs(
    transaction: Transaction, *, max_stalled: int, heartbeat_s: float, limit: int
) -> Recovery:
    """Put jobs whose lease has ended, or whose worker is dead, at the front of their line."""
    steady_ms = transaction.steady_ms
    silent_since_ms = steady_ms - round(heartbeat_s * 1000)
    transaction.flush()
    lapsed = [Lapsed(*row) for row in transaction.run("lapsed", steady_ms, silent_since_ms, limit)]
    recovery = _put_back(transaction, lapsed, max_stalled)
    if len(lapsed) < limit:
        _bury(transaction, silent_since_ms)
    oldest_ms = transaction.value("workers_oldest")
    if oldest_ms is None:
        return recovery
    look_again_ms = max(0, oldest_ms - silent_since_ms)
    return Recovery(recovery.recovered, recovery.quarantined, look_again_ms)


def _bury(transaction: Transaction, silent_since_ms: int) -> None:
    """Take dead workers that hold no job off the register, and note them."""
    steady_ms, now_ms = transaction.steady_ms, transaction.now_ms
    for *facts, beat_ms in transaction.run("workers_bury", silent_since_ms, steady_ms):
        seen_ms = now_ms - max(0, steady_ms - beat_ms)
        position = transaction.value("worker_lost_add", *facts, seen_ms)
        transaction.run("worker_lost_trim", position - LOST_KEPT)


def take_back_lapsed(
    transaction: Transaction, queue: str, *, max_stalled: int, limit: int
) -> list[str]:
    """Put up to `limit` jobs of a queue whose lease has ended at the front of their line.

    The latest first: where there are more, the next call puts the longest running in front. A job
    of a dead worker stays if its lease has not ended. Returns the ids.
    """
    transaction.flush()
    found = [Lapsed(*row) for row in transaction.run("doctor_lapsed", transaction.steady_ms)]
    lapsed = [job for job in found if job.queue == queue][-limit:]
    return [job_id for _, job_id in _put_back(transaction, lapsed, max_stalled).recovered]


def _put_back(transaction: Transaction, lapsed: Sequence[Lapsed], max_stalled: int) -> Recovery:
    recovered: list[tuple[str, str]] = []
    quarantined: list[tuple[str, str]] = []
    moves: list[Move] = []
    # The longest running one goes to the front last, and so runs first.
    for job in reversed(lapsed):
        row = transaction.queue(job.queue)
        state = ready_state(job.priority)
        attempt = Attempt(
            number=job.attempts_started,
            started_ms=job.processed_ms,
            ended_ms=transaction.now_ms,
            worker_id=job.worker_id,
            outcome="stalled",
            error=STOPPED if job.counts else NOT_BEGUN,
        )
        deferred = job.cancel_reason  # nobody wants it to run again
        if (
            deferred is None
            and job.stalled + job.counts > max_stalled
            and not is_of_schedule(transaction, row, job.id)
        ):
            deferred = STALLED_REASON
        if deferred is not None:
            quarantined.append((job.queue, job.id))
        recovered.append((job.queue, job.id))
        moves.append(
            Move(
                number=job.number,
                state=state,
                position=-transaction.tickets(1),
                attempt=attempt,
                stalled=job.counts,
                deferred_failure=deferred,
            )
        )
        row.moved(State.ACTIVE, state)
        row.say(EventName.WAITING, job.id, {"prev": "active"})
        row.say(EventName.STALLED, job.id)
    if moves:
        move(transaction, moves)
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
