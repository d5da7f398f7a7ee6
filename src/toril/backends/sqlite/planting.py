"""Adds trees of jobs. Checks everything first, so that all of a call is added, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from toril.backends.refusals import not_found
from toril.backends.sqlite.lookup import Found, find, read_parent
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.ties import (
    Tie,
    parent_of,
    release_if_done,
    tell_failed,
)
from toril.backends.sqlite.transaction import Transaction
from toril.engine.contract.flows import NewNode
from toril.engine.events import EventName
from toril.engine.flow import Fate, ParentRef
from toril.engine.flow_refusals import (
    claim_lost,
    has_parent,
    is_above,
    is_there,
    parent_finished,
)
from toril.engine.job import Added
from toril.engine.states import FINISHED, State

Key = tuple[str, str]
"""Queue and id."""


class There(NamedTuple):
    """A job that is there in place of a new one."""

    row: QueueRow
    found: Found
    parent: ParentRef | None
    result: str | None
    failed_reason: str | None


def add_nodes(transaction: Transaction, nodes: Sequence[NewNode], token: str | None) -> list[Added]:
    """Add trees; what the contract says of `Flows.add`."""
    return _Planting(transaction, nodes, token).run()


class _Planting:
    """One call."""

    def __init__(
        self, transaction: Transaction, nodes: Sequence[NewNode], token: str | None
    ) -> None:
        self._transaction = transaction
        self._nodes = nodes
        self._token = token
        self._skipped: set[Key] = set()
        """Nodes of trees whose root is there."""
        self._there: dict[Key, There] = {}
        self._parents: dict[Key, tuple[QueueRow, Found]] = {}
        """By their keys: those that are there, and those that were added."""
        self._new: set[Key] = set()
        self._tops: dict[Key, Key] = {}
        """Of a new node: the job that is there to which its tree is added."""
        self._taken = self._taken_ids()

    def run(self) -> list[Added]:
        """Check all, then add all."""
        for node in self._nodes:
            self._check(node)
        number = self._transaction.job_numbers(len(self._nodes))
        ticket = self._transaction.tickets(len(self._nodes))
        rows: list[tuple[Any, ...]] = []
        waits: list[tuple[int, int]] = []
        ties: list[tuple[int, str]] = []
        answers: list[Added] = []
        for index, node in enumerate(self._nodes):
            job_id = node.job.job_id or ""
            key = (node.job.queue, job_id)
            there = self._there.get(key)
            answers.append(Added(job_id, duplicate=key in self._skipped or there is not None))
            if there is not None:
                there.row.say(EventName.DUPLICATED, job_id)
                if node.parent is not None:
                    there.row.flows = 1
                    ties.append((there.found.number, _text(node.parent)))
            elif key not in self._skipped:
                rows.append(self._row(node, number + index, ticket + index, waits))
                if node.parent is not None:
                    ties.append((number + index, _text(node.parent)))
        self._store(rows, waits, ties)
        self._join()
        return answers

    def _check(self, node: NewNode) -> None:
        """Raise if a node cannot be added; note what is there of it."""
        queue, job_id = node.job.queue, node.job.job_id or ""
        parent = node.parent
        if parent is not None:
            above = (parent.queue, parent.job_id)
            if above in self._skipped:
                self._skipped.add((queue, job_id))
                return
            if above not in self._new and above not in self._parents:
                self._parents[above] = self._existing(parent)
        there = self._find(queue, job_id)
        if there is None:
            self._new.add((queue, job_id))
            if parent is not None:
                self._tops[queue, job_id] = self._tops.get(above, above)
            return
        self._there[queue, job_id] = there
        if parent is None:
            self._skipped.add((queue, job_id))
            return
        if node.waits:
            raise is_there(queue, job_id)
        if there.parent is not None and not there.parent.is_same(parent):
            other = parent_of(self._transaction, there.parent)
            if other is not None:
                raise has_parent(queue, job_id, other.row.name, other.found.id)
        if self._is_above((queue, job_id), self._tops.get(above, above)):
            raise is_above(queue, job_id, parent.queue, parent.job_id)

    def _is_above(self, key: Key, parent: Key) -> bool:
        """Whether a job is among those above a parent, or that parent itself."""
        seen: set[Key] = set()
        ref: ParentRef | None = ParentRef(*parent)
        while ref is not None and (ref.queue, ref.job_id) not in seen:
            if (ref.queue, ref.job_id) == key:
                return True
            seen.add((ref.queue, ref.job_id))
            found = parent_of(self._transaction, ref)
            number = None if found is None else found.found.number
            outcome = [] if number is None else self._transaction.run("job_outcome", number)
            ref = read_parent(outcome[0][2]) if outcome else None
        return False

    def _existing(self, parent: ParentRef) -> tuple[QueueRow, Found]:
        """Return a parent that has to be there, and to go on."""
        transaction = self._transaction
        row = transaction.find_queue(parent.queue)
        found = None if row is None else find(transaction, row.id, parent.job_id)
        if row is None or found is None:
            raise not_found(parent.queue, parent.job_id)
        if self._token is not None:
            held = msgspec.json.decode(transaction.value("held", f"[{found.number}]"))
            if not held or held[0][1] != self._token:
                raise claim_lost(parent.queue, parent.job_id)
        if found.state in FINISHED:
            raise parent_finished(parent.queue, parent.job_id, found.state)
        return row, found

    def _taken_ids(self) -> set[tuple[int, str]]:
        """Return which of the new ids are in use, in one look: mostly none is."""
        rows = {
            name: self._transaction.find_queue(name)
            for name in {node.job.queue for node in self._nodes}
        }
        wanted = [
            (row.id, node.job.job_id)
            for node in self._nodes
            if (row := rows[node.job.queue]) is not None
        ]
        found = self._transaction.value("jobs_taken", msgspec.json.encode(wanted).decode())
        return {(queue_id, job_id) for queue_id, job_id in msgspec.json.decode(found)}

    def _find(self, queue: str, job_id: str) -> There | None:
        transaction = self._transaction
        row = transaction.find_queue(queue) if self._taken else None
        if row is None or (row.id, job_id) not in self._taken:
            return None
        found = find(transaction, row.id, job_id)
        assert found is not None  # noqa: S101 - its id is taken
        result, failed_reason, parent, _ = transaction.run("job_outcome", found.number)[0]
        return There(row, found, read_parent(parent), result, failed_reason)

    def _row(
        self, node: NewNode, number: int, ticket: int, waits: list[tuple[int, int]]
    ) -> tuple[Any, ...]:
        """Return a row for `jobs_add.sql`, and say what happens."""
        transaction, job = self._transaction, node.job
        queue, job_id = transaction.queue(job.queue), job.job_id or ""
        queue.flows = 1
        queue.say(EventName.ADDED, job_id, {"name": job.name})
        now_ms = transaction.now_ms
        timestamp_ms = now_ms if job.timestamp_ms is None else job.timestamp_ms
        delay_ms, due_ms, place = 0, None, -ticket if job.lifo else ticket
        if job.delay_ms or job.run_at_ms is not None:
            due_ms = timestamp_ms + job.delay_ms if job.run_at_ms is None else job.run_at_ms
            delay_ms = max(0, due_ms - timestamp_ms)
        if node.waits:
            state, place, due_ms = State.WAITING_CHILDREN, ticket, timestamp_ms
            queue.say(EventName.WAITING_CHILDREN, job_id)
        elif due_ms is not None and (job.delay_ms or due_ms > now_ms):
            state, place = State.DELAYED, ticket
            queue.say(EventName.DELAYED, job_id, {"delay": str(due_ms)})
            if job.run_at_ms is None:
                waits.append((number, transaction.steady_ms + max(0, due_ms - now_ms)))
        else:
            state, due_ms = State.PRIORITIZED if job.priority else State.WAIT, None
            queue.say(EventName.WAITING, job_id)
        queue.counts[state] += 1
        if node.waits:
            found = Found(number, state, job.priority, job_id)
            self._parents[job.queue, job_id] = (queue, found)
        return (
            number, queue.id, job_id, job.name, job.data, job.opts, state, job.priority, place,
            timestamp_ms, delay_ms, due_ms,
        )  # fmt: skip

    def _store(
        self,
        rows: Sequence[tuple[Any, ...]],
        waits: Sequence[tuple[int, int]],
        ties: Sequence[tuple[int, str]],
    ) -> None:
        transaction = self._transaction
        if rows:
            transaction.run("jobs_add", msgspec.json.encode(rows).decode())
            transaction.readied = True
        if waits:
            transaction.run("jobs_wait", transaction.boot, msgspec.json.encode(waits).decode())
        if ties:
            transaction.run("tie", msgspec.json.encode(ties).decode())

    def _join(self) -> None:
        """Tell parents of their children, and of those that have ended already."""
        transaction = self._transaction
        places: dict[Key, int] = {}
        children: list[tuple[int, str, str, int, Fate, str | None]] = []
        failed: list[tuple[str, Tie, str]] = []
        for node in self._nodes:
            queue, job_id, ref = node.job.queue, node.job.job_id or "", node.parent
            if ref is None or (queue, job_id) in self._skipped:
                continue
            above = (ref.queue, ref.job_id)
            row, parent = self._parents[above]
            row.flows = 1
            if above not in places:
                new = above in self._new
                places[above] = 0 if new else transaction.value("children_last", parent.number)
            places[above] += 1
            fate: Fate = "pending"
            value = None
            there = self._there.get((queue, job_id))
            if there is not None and there.found.state is State.COMPLETED:
                fate, value = "completed", there.result or "null"
            elif there is not None and there.found.state is State.FAILED:
                tie = Tie(there.found.number, job_id, ref, False)
                failed.append((queue, tie, there.failed_reason or "null"))
            children.append((parent.number, queue, job_id, places[above], fate, value))
        if children:
            transaction.run("children_add", msgspec.json.encode(children).decode())
        for queue, tie, reason in failed:
            tell_failed(transaction, queue, tie, reason)
        if self._there:
            for row, parent in self._parents.values():
                found = find(transaction, row.id, parent.id)
                if found is not None:
                    release_if_done(transaction, row, found)


def _text(parent: ParentRef) -> str:
    return msgspec.json.encode(parent).decode()
