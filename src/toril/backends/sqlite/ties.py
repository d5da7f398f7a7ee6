"""What happens to a child is told to its parent, in the same transaction.

A queue of which no job was ever of a flow pays nothing for this: callers look at `QueueRow.flows`.
Rules: spec, section 3.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from toril.backends.sqlite.lookup import Found, find, read_parent
from toril.backends.sqlite.moves import Move, move
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.transaction import Transaction
from toril.engine.events import EventName
from toril.engine.flow import CHILDREN_PENDING, FAILED_WITH_CHILD, Fate, ParentRef
from toril.engine.states import State

PREFIX = "bull"
"""What the keys of children begin with: BullMQ's own, so that both stores name them alike."""


class Tie(NamedTuple):
    """What makes a job one of a flow."""

    number: int
    job_id: str
    parent: ParentRef | None
    has_children: bool


class Parent(NamedTuple):
    """A parent that is there."""

    row: QueueRow
    found: Found
    on_failure: str


def child_key(queue: str, job_id: str) -> str:
    """Return BullMQ's key of a job."""
    return f"{PREFIX}:{queue}:{job_id}"


def read_ties(transaction: Transaction, numbers: Sequence[int]) -> dict[int, Tie]:
    """Return the ties of those jobs that are of a flow, by their numbers."""
    rows = transaction.run("ties", msgspec.json.encode(numbers).decode())
    return {row[0]: Tie(row[0], row[1], read_parent(row[2]), bool(row[3])) for row in rows}


def hindrance(transaction: Transaction, number: int) -> str | None:
    """Return why a job may not complete; None: it may."""
    failed = transaction.run("children_failed", number)
    if failed:
        return FAILED_WITH_CHILD.format(child_key(*failed[0]))
    return CHILDREN_PENDING if is_waiting(transaction, number) else None


def is_waiting(transaction: Transaction, number: int) -> bool:
    """Whether a job has children that have not ended."""
    return bool(transaction.value("children_pending", number))


def parent_of(transaction: Transaction, ref: ParentRef | None) -> Parent | None:
    """Return a child's parent; None if it has none, or it is gone."""
    row = None if ref is None else transaction.find_queue(ref.queue)
    found = None if row is None or ref is None else find(transaction, row.id, ref.job_id)
    if row is None or found is None or ref is None:
        return None
    return Parent(row, found, ref.on_failure)


def tell_done(transaction: Transaction, queue: str, tie: Tie, value: str) -> None:
    """Tell the parent that a child has completed."""
    parent = parent_of(transaction, tie.parent)
    if parent and _settle(transaction, parent, queue, tie.job_id, "completed", value):
        release_if_done(transaction, parent.row, parent.found)


def tell_failed(transaction: Transaction, queue: str, tie: Tie, reason: str) -> None:
    """Tell the parent that a child has failed for good. What that means, the child says."""
    parent = parent_of(transaction, tie.parent)
    if parent is None:
        return
    match parent.on_failure:
        case "fail_parent":
            if _settle(transaction, parent, queue, tie.job_id, "failed", reason):
                _fail_with_child(transaction, parent, child_key(queue, tie.job_id))
        case "continue":
            if _settle(transaction, parent, queue, tie.job_id, "ignored", reason):
                release(transaction, parent.row, parent.found)
        case "ignore":
            if _settle(transaction, parent, queue, tie.job_id, "ignored", reason):
                release_if_done(transaction, parent.row, parent.found)
        case "remove":
            _drop(transaction, parent, queue, tie.job_id)


def tell_gone(transaction: Transaction, queue: str, tie: Tie) -> bool:
    """Tell the parent that a child was removed; return whether it waited for it."""
    parent = parent_of(transaction, tie.parent)
    return parent is not None and _drop(transaction, parent, queue, tie.job_id)


def tell_again(transaction: Transaction, queue: str, tie: Tie) -> None:
    """Tell the parent that a child that had ended runs again."""
    parent = parent_of(transaction, tie.parent)
    if parent is not None:
        transaction.run("child_again", parent.found.number, queue, tie.job_id)


def release_if_done(transaction: Transaction, row: QueueRow, parent: Found) -> None:
    """Let a parent go on that waits for no child any more."""
    if not is_waiting(transaction, parent.number):
        release(transaction, row, parent)


def release(transaction: Transaction, row: QueueRow, parent: Found) -> None:
    """Let a parent go on: as its delay says, or to the front of the line, or of its priority's end.

    Only one that is in `waiting-children`.
    """
    if parent.state is State.WAITING_CHILDREN:
        _line_up(transaction, row, parent, None)


def wait_again(transaction: Transaction, row: QueueRow, numbers: Sequence[int]) -> set[int]:
    """Mend the ties of finished jobs that were put back in line.

    Their parents wait for them again; those that have children themselves which have not ended wait
    for these, in place of the line. Returns the numbers of those.
    """
    ties = read_ties(transaction, numbers)
    for tie in ties.values():
        tell_again(transaction, row.name, tie)
    parked = {
        tie.number
        for tie in ties.values()
        if tie.has_children and is_waiting(transaction, tie.number)
    }
    if parked:
        transaction.run("park", transaction.now_ms, msgspec.json.encode(list(parked)).decode())
    return parked


def _settle(
    transaction: Transaction, parent: Parent, queue: str, job_id: str, fate: Fate, value: str
) -> bool:
    number = parent.found.number
    return bool(transaction.changed("child_settle", fate, value, number, queue, job_id))


def _drop(transaction: Transaction, parent: Parent, queue: str, job_id: str) -> bool:
    if not transaction.changed("child_drop", parent.found.number, queue, job_id):
        return False
    release_if_done(transaction, parent.row, parent.found)
    return True


def _fail_with_child(transaction: Transaction, parent: Parent, key: str) -> None:
    """Have a parent failed by whoever takes it next; one that waits or is delayed is taken now."""
    row, found, _ = parent
    if found.state is State.FAILED:
        return
    reason = FAILED_WITH_CHILD.format(key)
    if found.state in (State.WAITING_CHILDREN, State.DELAYED):
        _line_up(transaction, row, found, reason)
    else:
        transaction.run("job_defer", reason, found.number)


def _line_up(transaction: Transaction, row: QueueRow, parent: Found, deferred: str | None) -> None:
    waited = parent.state is State.WAITING_CHILDREN
    delay_ms = transaction.run("job_outcome", parent.number)[0][3] if waited else 0
    place = transaction.tickets(1)
    due_ms = boot = steady_ms = None
    if delay_ms > 0:
        state, due_ms = State.DELAYED, transaction.now_ms + delay_ms
        boot, steady_ms = transaction.boot, transaction.steady_ms + delay_ms
        row.say(EventName.DELAYED, parent.id, {"delay": str(due_ms)})
    else:
        state = State.PRIORITIZED if parent.priority > 0 else State.WAIT
        place = place if parent.priority > 0 else -place  # it has waited: it is the next to run
        row.say(EventName.WAITING, parent.id, {"prev": State.WAITING_CHILDREN.value})
    goes_on = Move(
        number=parent.number,
        state=state,
        position=place,
        due_ms=due_ms,
        delay_ms=delay_ms,
        deferred_failure=deferred,
        boot=boot,
        due_steady_ms=steady_ms,
    )
    move(transaction, [goes_on])
    row.moved(parent.state, state)
    transaction.readied = True
