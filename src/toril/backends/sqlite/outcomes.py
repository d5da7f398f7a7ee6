"""Applies outcomes: checks their tokens, then writes all of a kind in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from toril.backends.sqlite.adding import add_jobs, ready_state
from toril.backends.sqlite.asides import let_go
from toril.backends.sqlite.calendar import believed_ms
from toril.backends.sqlite.holders import Holder, holders
from toril.backends.sqlite.lookup import find
from toril.backends.sqlite.moves import Move, move
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.tallies import COMPLETED, FAILED, RETRIED, count
from toril.backends.sqlite.ties import (
    Tie,
    hindrance,
    read_ties,
    release_if_done,
    tell_done,
    tell_failed,
)
from toril.backends.sqlite.transaction import Transaction
from toril.core.reading import read_list
from toril.engine.contract.dispatch import FenceResult
from toril.engine.events import EventName
from toril.engine.flow import CHILDREN_PENDING
from toril.engine.job import Attempt, Finished
from toril.engine.states import State

TRIM_CHUNK = 500
"""Old jobs that one exchange removes, beside as many as it finished."""
TRIM_EVERY_MS = 1000
"""Between two looks of one process for jobs that have become too old."""

_NO_RESULT = {"returnvalue": "null", "prev": "active"}


def apply_outcomes(
    transaction: Transaction, outcomes: Sequence[Finished]
) -> tuple[list[FenceResult], list[QueueRow]]:
    """Apply outcomes; return a word for each, and the queues in which jobs have finished."""
    if not outcomes:
        return [], []
    if len(outcomes) == 1 and outcomes[0].kind == "completed":
        only = transaction.find_queue(outcomes[0].queue)
        if only is not None and not only.flows:
            return _settle_one(transaction, only, outcomes[0])
    held = holders(transaction, [outcome.number for outcome in outcomes])
    words: list[FenceResult] = []
    done: list[tuple[Any, ...]] = []
    moves: list[Move] = []
    keeps: dict[tuple[str, State], Finished] = {}
    gone: dict[tuple[str, State], list[int]] = {}
    rows: dict[str, QueueRow] = {}
    traced: list[tuple[int, int]] = []
    ties: dict[int, Tie] | None = None
    tied = cast("list[int]", list(held))
    for outcome in outcomes:
        number: Any = outcome.number
        holder = held.get(number)
        if holder is None or holder.token != outcome.token:
            words.append("lease_lost")
            continue
        del held[number]  # a second outcome for the same claim is a late one
        words.append("ok")
        row = rows.get(outcome.queue)
        if row is None:
            row = rows[outcome.queue] = transaction.queue(outcome.queue)
        if row.deduplicates and outcome.kind in ("completed", "failed"):
            let_go(transaction, row, number)
        if row.flows:
            if ties is None:
                ties = read_ties(transaction, tied)
            if (tie := ties.get(number)) is not None:
                _write(transaction, done, moves)  # what parents and children are is read
                brought = outcome.kind
                outcome = _settle_tied(transaction, tie, outcome)
                if outcome.kind != brought:  # its worker does not know, and has sent no letter
                    transaction.run("unlettered_add", number, row.id)
        if outcome.kind == "completed":
            done.append((number, outcome.attempts_made, outcome.value))
            if any(job.deduplication for job in outcome.follow_ups or ()):
                _write(transaction, done, moves)  # whether a holder runs is read from the file
            _complete(transaction, row, outcome)
        else:
            moves.append(_move(transaction, row, outcome, holder))
            if outcome.keep_traces is not None and outcome.traceback is not None:
                traced.append((number, outcome.keep_traces))
            if outcome.follow_ups:  # its dead letter
                add_jobs(transaction, outcome.follow_ups)
            if outcome.kind == "waiting_children":
                _write(transaction, done, moves)
                found = find(transaction, row.id, outcome.job_id)
                if found is not None:
                    release_if_done(transaction, row, found)
        if outcome.kind in ("completed", "failed"):
            state = State(outcome.kind)
            keeps[outcome.queue, state] = outcome
            if outcome.keep_count == 0:
                gone.setdefault((outcome.queue, state), []).append(number)
    _write(transaction, done, moves)
    for number, keep in traced:
        trim_traces(transaction, number, keep)
    for (queue, state), finished in gone.items():
        remove_jobs(transaction, rows[queue], state, finished, evicted=True)
    for (queue, state), outcome in keeps.items():
        _trim(transaction, rows[queue], state, outcome, len(outcomes))
    if any(row.concurrency is not None for row in rows.values()):
        transaction.readied = True  # a place became free
    return words, list({queue: rows[queue] for queue, _ in keeps}.values())


def _write(transaction: Transaction, done: list[tuple[Any, ...]], moves: list[Move]) -> None:
    """Write what was gathered so far."""
    if done:
        transaction.run("complete", transaction.now_ms, msgspec.json.encode(done).decode())
    move(transaction, moves)
    done.clear()
    moves.clear()


def _settle_tied(transaction: Transaction, tie: Tie, outcome: Finished) -> Finished:
    """Tell a parent of its child's end, and return how it ends: not well before its children."""
    queue = outcome.queue
    if outcome.kind == "completed":
        why = hindrance(transaction, tie.number)
        if why is None:
            tell_done(transaction, queue, tie, outcome.value)
            return outcome
        outcome = msgspec.structs.replace(outcome, kind="failed", reason=why, follow_ups=None)
    elif outcome.kind == "waiting_children":
        why = hindrance(transaction, tie.number)
        if why is None or why == CHILDREN_PENDING:
            return outcome
        outcome = msgspec.structs.replace(outcome, kind="failed", reason=why)
    if outcome.kind == "failed":
        tell_failed(transaction, queue, tie, outcome.reason or "null")
    return outcome


def _settle_one(
    transaction: Transaction, row: QueueRow, outcome: Finished
) -> tuple[list[FenceResult], list[QueueRow]]:
    """The same for a single success, in one statement: what a worker of one slot brings."""
    made, value, number = outcome.attempts_made, outcome.value, outcome.number
    now_ms = transaction.now_ms
    if not transaction.changed("complete_one", now_ms, made, value, number, outcome.token):
        return ["lease_lost"], []
    if row.deduplicates:
        let_go(transaction, row, cast("int", number))
    _complete(transaction, row, outcome)
    if outcome.keep_count == 0:
        remove_jobs(transaction, row, State.COMPLETED, [cast("int", number)], evicted=True)
    _trim(transaction, row, State.COMPLETED, outcome, 1)
    if row.concurrency is not None:
        transaction.readied = True  # a place became free
    return ["ok"], [row]


def _complete(transaction: Transaction, row: QueueRow, outcome: Finished) -> None:
    row.moved(State.ACTIVE, State.COMPLETED)
    row.completed_total += 1
    if row.history:
        count(transaction, row, COMPLETED, outcome)
    value = outcome.value
    more = _NO_RESULT if value == "null" else {"returnvalue": value, "prev": "active"}
    row.say(EventName.COMPLETED, outcome.job_id, more)
    if outcome.follow_ups:
        add_jobs(transaction, outcome.follow_ups)


def _move(transaction: Transaction, row: QueueRow, outcome: Finished, holder: Holder) -> Move:
    """Return where a job goes that has not succeeded, and emit its events."""
    cancelled = holder.cancel_reason
    now_ms = transaction.now_ms
    attempt = Attempt(
        number=outcome.attempt,
        started_ms=outcome.started_ms,
        ended_ms=now_ms,
        worker_id=outcome.worker_id,
        outcome=outcome.kind,
        error=outcome.reason,
        traceback=outcome.traceback,
        unknown_since_ms=outcome.unknown_since_ms,
    )
    position = due_ms = delay_ms = finished_ms = boot = due_steady_ms = None
    if outcome.kind == "failed":
        state = State.FAILED
        finished_ms = now_ms
        row.failed_total += 1
        if row.history:
            count(transaction, row, FAILED, outcome)
        reason = outcome.reason or "null"
        row.say(EventName.FAILED, outcome.job_id, {"failedReason": reason, "prev": "active"})
        if outcome.exhausted:
            made = str(outcome.attempts_made)
            row.say(EventName.RETRIES_EXHAUSTED, outcome.job_id, {"attemptsMade": made})
    else:
        if outcome.kind == "retried" and row.history:
            count(transaction, row, RETRIED, outcome)
        until_ms = outcome.until_ms if outcome.until_ms is not None else now_ms + outcome.wait_ms
        position = transaction.tickets(1)
        transaction.readied = True
        # Cancelled, but its worker did not hear of it in time: the next one fails it, at once.
        if outcome.kind == "waiting_children" and cancelled is None:
            state, due_ms = State.WAITING_CHILDREN, now_ms
            row.say(EventName.WAITING_CHILDREN, outcome.job_id, {"prev": "active"})
        elif until_ms > now_ms and cancelled is None:
            state, due_ms, delay_ms = State.DELAYED, until_ms, until_ms - now_ms
            if outcome.until_ms is None:  # a duration, which a change of the calendar cannot move
                boot, due_steady_ms = transaction.boot, transaction.steady_ms + delay_ms
            row.say(EventName.DELAYED, outcome.job_id, {"delay": str(due_ms)})
        else:
            state = ready_state(holder.priority)
            row.say(EventName.WAITING, outcome.job_id, {"prev": "active"})
            if outcome.kind == "released" or outcome.lifo:
                position = -position
    row.moved(State.ACTIVE, state)
    # Losses of its workers count within one attempt, which has ended.
    stalled = None if outcome.kind in ("retried", "snoozed", "waiting_children") else 0
    return Move(
        number=cast("int", outcome.number),
        state=state,
        position=position,
        due_ms=due_ms,
        delay_ms=delay_ms,
        attempts_made=outcome.attempts_made,
        failed_reason=None if outcome.kind == "snoozed" else outcome.reason,
        attempt=attempt,
        finished_ms=finished_ms,
        stalled=stalled,
        deferred_failure=cancelled,
        boot=boot,
        due_steady_ms=due_steady_ms,
    )


def _trim(
    transaction: Transaction, row: QueueRow, state: State, outcome: Finished, slack: int
) -> None:
    """Apply the keep policy of the latest job to its state's set."""
    if state is State.COMPLETED:
        row.keep_completed_age_ms = outcome.keep_age_ms
    else:
        row.keep_failed_age_ms = outcome.keep_age_ms
    if outcome.keep_count:
        surplus = row.counts[state] - outcome.keep_count
        if surplus > 0:
            trim_oldest(transaction, row, state, limit=min(surplus, slack + TRIM_CHUNK))
    if outcome.keep_age_ms is not None and transaction.is_time(f"{row.id} {state}", TRIM_EVERY_MS):
        until_ms = believed_ms(transaction) - outcome.keep_age_ms
        trim_oldest(transaction, row, state, limit=slack + TRIM_CHUNK, until_ms=until_ms)


def trim_traces(transaction: Transaction, number: int, keep: int) -> None:
    """Drop the tracebacks in a job's history, all but the newest `keep`."""
    text = transaction.value("history_get", number)
    history: list[Any] = [] if text is None else read_list(text)
    traced = [one for one in history if isinstance(one, dict) and "traceback" in one]
    old = traced[: max(0, len(traced) - keep)]
    for one in old:
        del one["traceback"]
    if old:
        transaction.run("history_set", msgspec.json.encode(history).decode(), number)


def trim_oldest(
    transaction: Transaction, row: QueueRow, state: State, *, limit: int, until_ms: int = 2**62
) -> int:
    """Remove up to `limit` finished jobs that ended first, and not after a moment."""
    text = transaction.value("finished_find", row.id, state.value, until_ms, limit)
    found = msgspec.json.decode(text, type=list[tuple[int, str, int]])
    if found:
        remove_jobs(transaction, row, state, [number for number, _, _ in found], evicted=True)
    return len(found)
