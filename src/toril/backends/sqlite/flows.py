"""Flows: trees of jobs. What a child's end means to its parent: `ties.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from toril.backends.cursors import no_cursor
from toril.backends.sqlite.lookup import Found, find, find_many, read_parent, require_job
from toril.backends.sqlite.planting import add_nodes
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.ties import child_key, read_ties, tell_gone
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.flows import MAX_BELOW, NewNode
from toril.engine.events import EventName
from toril.engine.flow import ChildPage, ChildRecord, Fate
from toril.engine.flow_refusals import held_below, no_parent, too_many
from toril.engine.job import Added
from toril.engine.states import State

NO_LIMIT = 2**62


class SqliteFlows:
    """The role `Flows`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def add(self, nodes: Sequence[NewNode], *, token: str | None = None) -> list[Added]:
        return await self._writer.run(lambda transaction: add_nodes(transaction, nodes, token))

    async def children(
        self,
        queue: str,
        job_id: str,
        *,
        limit: int,
        after: str | None = None,
        brief: bool = False,
    ) -> ChildPage:
        if after is not None and not after.isdecimal():
            raise no_cursor(after)

        def question(view: View) -> ChildPage:
            found = _find(view, queue, job_id)
            if found is None:
                return ChildPage([], None)
            rows = view.run("children_read", found.number, int(after or 0), limit + 1)
            children = [self._child(view, row, brief) for row in rows[:limit]]
            return ChildPage(children, str(rows[limit - 1][2]) if len(rows) > limit else None)

        return await self._reader.ask(question)

    def _child(
        self, view: View, row: tuple[str, str, int, Fate, str | None], brief: bool
    ) -> ChildRecord:
        queue, job_id, _, fate, value = row
        found = _find(view, queue, job_id)
        rows = [] if found is None else view.run("child_facts", found.number)
        name, state, reason, is_parent = rows[0] if rows else (None, None, None, 0)
        if fate in ("failed", "ignored"):
            reason = value
        elif state != State.FAILED:
            reason = None  # of an attempt, and not for good
        return ChildRecord(
            key=child_key(queue, job_id),
            queue=queue,
            job_id=job_id,
            fate=fate,
            value=None if fate in ("pending", "failed") else value,
            name=name,
            state=None if state is None or brief else State(state),
            failed_reason=reason,
            is_parent=bool(is_parent) and not brief,
        )

    async def known(self, queue: str, job_ids: Sequence[str]) -> list[list[ChildRecord]]:
        def question(view: View) -> list[list[ChildRecord]]:
            rows = view.run("queue_get", queue)
            if not rows or not QueueRow(rows[0]).flows:
                return [[] for _ in job_ids]
            jobs = find_many(view, rows[0][0], job_ids)
            return [[] if job is None else _known(view, job[0]) for job in jobs]

        return await self._reader.ask(question)

    async def outline(self, queue: str, job_id: str) -> dict[Fate, int]:
        def question(view: View) -> dict[Fate, int]:
            found = _find(view, queue, job_id)
            return {} if found is None else dict(view.run("children_fates", found.number))

        return await self._reader.ask(question)

    async def break_tie(self, queue: str, job_id: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            _, found = require_job(transaction, queue, job_id)
            tie = read_ties(transaction, [found.number]).get(found.number)
            parent = None if tie is None else tie.parent
            if (
                tie is None
                or parent is None
                or _find(transaction, parent.queue, parent.job_id) is None
            ):
                raise no_parent(queue, job_id)
            transaction.run("tie", f"[[{found.number},null]]")
            return tell_gone(transaction, queue, tie)

        return await self._writer.run(transition)

    async def remove_children(self, queue: str, job_id: str) -> int:
        def transition(transaction: Transaction) -> int:
            _, found = require_job(transaction, queue, job_id)
            return _remove_waited(transaction, queue, found, _Room(queue, job_id))

        return await self._writer.run(transition)

    async def remove(self, queue: str, job_id: str) -> int:
        def transition(transaction: Transaction) -> int:
            row, found = require_job(transaction, queue, job_id)
            room = _Room(queue, job_id)
            below = [(row, found), *_below(transaction, row.name, found, room)]
            for there, one in below:
                if one.state is State.ACTIVE:
                    raise held_below(queue, job_id, there.name, one.id)
            for there, one in reversed(below):  # what is below a job goes before it
                _remove(transaction, there, one.id)
            return len(below)

        return await self._writer.run(transition)

    async def served(self) -> set[str]:
        def question(view: View) -> set[str]:
            return {name for (name,) in view.run("queues_served")}

        return await self._reader.ask(question)


class _Room:
    """How many jobs one call may still remove."""

    def __init__(self, queue: str, job_id: str) -> None:
        self._top = (queue, job_id)
        self._left = MAX_BELOW

    def take(self) -> None:
        """Take one.

        Raises:
            WrongStateError: There are too many.
        """
        self._left -= 1
        if self._left < 0:
            raise too_many(*self._top, MAX_BELOW)


def _below(
    transaction: Transaction, queue: str, top: Found, room: _Room
) -> Iterator[tuple[QueueRow, Found]]:
    """Go through all jobs below one that are there: each before those below it."""
    todo = [(queue, top)]
    while todo:
        above, parent = todo.pop()
        for child_queue, job_id in transaction.run("children_all", parent.number):
            row = transaction.find_queue(child_queue)
            found = None if row is None else find(transaction, row.id, job_id)
            if row is None or found is None:
                continue
            # Its id may be another job's by now, which has another parent or none.
            ref = read_parent(transaction.run("job_outcome", found.number)[0][2])
            if ref is not None and (ref.queue, ref.job_id) == (above, parent.id):
                room.take()
                yield row, found
                todo.append((child_queue, found))


def _remove_waited(transaction: Transaction, queue: str, parent: Found, room: _Room) -> int:
    """Remove the children that a job waits for, each after those below it."""
    removed = 0
    for child_queue, job_id in reversed(transaction.run("children_waited", parent.number)):
        row = transaction.find_queue(child_queue)
        found = None if row is None else find(transaction, row.id, job_id)
        if row is None or found is None:
            continue
        room.take()
        removed += _remove_waited(transaction, child_queue, found, room)
        outline = dict(transaction.run("children_fates", found.number))
        if found.state is not State.ACTIVE and not outline.get("pending"):
            _remove(transaction, row, job_id)
            removed += 1
    return removed


def _remove(transaction: Transaction, row: QueueRow, job_id: str) -> None:
    found = find(transaction, row.id, job_id)  # as it is now: its children's end may have moved it
    if found is not None:
        remove_jobs(transaction, row, found.state, [found.number])
        row.say(EventName.REMOVED, found.id, {"prev": found.state.value})


def _known(view: View, number: int) -> list[ChildRecord]:
    return [
        ChildRecord(
            key=child_key(queue, job_id),
            queue=queue,
            job_id=job_id,
            fate=fate,
            value=value if fate == "completed" else None,
            failed_reason=value if fate in ("failed", "ignored") else None,
        )
        for queue, job_id, _, fate, value in view.run("children_read", number, 0, NO_LIMIT)
    ]


def _find(view: View, queue: str, job_id: str) -> Found | None:
    rows = view.run("queue_get", queue)
    return find(view, rows[0][0], job_id) if rows else None
