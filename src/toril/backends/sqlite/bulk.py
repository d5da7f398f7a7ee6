"""Verbs over many jobs of a queue: each call is one transaction over a bounded chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from toril.backends.refusals import has_running_jobs, not_paused
from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.lookup import SortKey, places
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.schedules import next_jobs
from toril.backends.sqlite.ties import wait_again
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.events import EventName
from toril.engine.states import FINISHED, State

LOOK_CHUNK = 1000
"""Jobs that one transaction of a clean looks at."""

_FAR_MS = 2**62

JobKey = tuple[int, str, int]
"""Number, id, priority."""


class SqliteBulk:
    """The role `Bulk`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def retry(
        self, queue: str, state: State, *, limit: int, finished_until_ms: int, reset_attempts: bool
    ) -> int:
        def transition(transaction: Transaction, row: QueueRow) -> int:
            found = _decode(
                transaction.value("finished_find", row.id, state.value, finished_until_ms, limit)
            )
            revive_jobs(transaction, row, state, found, reset_attempts=reset_attempts)
            return len(found)

        return await self._chunk(queue, transition)

    async def promote(self, queue: str, *, limit: int) -> int:
        def transition(transaction: Transaction, row: QueueRow) -> int:
            return promote_due(transaction, row, until_ms=_FAR_MS, limit=limit)

        return await self._chunk(queue, transition)

    async def drain(self, queue: str, *, delayed: bool, limit: int) -> int:
        def transition(transaction: Transaction, row: QueueRow) -> int:
            states = [State.WAIT, State.PRIORITIZED, *([State.DELAYED] if delayed else [])]
            kept = next_jobs(transaction, row)
            return sum(_remove_some(transaction, row, states, limit, kept))

        return await self._chunk(queue, transition)

    async def clean(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> int:
        def transition(transaction: Transaction, row: QueueRow) -> int:
            until_ms = transaction.now_ms - older_than_ms
            found = _decode(
                transaction.value("finished_find", row.id, state.value, until_ms, limit)
            )
            return _clean_away(transaction, row, state, [number for number, _, _ in found])

        if state in FINISHED:
            return await self._chunk(queue, transition)
        return await self._clean_line(queue, state, older_than_ms=older_than_ms, limit=limit)

    async def _clean_line(self, queue: str, state: State, *, older_than_ms: int, limit: int) -> int:
        """Clean jobs that have not run: their order is not that of their age, so all are looked at.

        A transaction looks at so many only, and leaves room for others before the next.
        """
        removed = 0
        after: tuple[int, int] | None = None

        def look(transaction: Transaction) -> tuple[int, Sequence[SortKey]]:
            row = transaction.find_queue(queue)
            if row is None:
                return 0, []
            seen = places(transaction, row.id, state, limit=LOOK_CHUNK, after=after)
            until_ms = transaction.now_ms - older_than_ms
            kept = next_jobs(transaction, row)
            old = [
                job.number
                for job in seen
                if job.timestamp_ms <= until_ms and job.number not in kept
            ]
            return _clean_away(transaction, row, state, old[: limit - removed]), seen

        while True:
            gone, seen = await self._writer.run(look)
            removed += gone
            if removed >= limit or len(seen) < LOOK_CHUNK:
                return removed
            after = (seen[-1].first, seen[-1].second)

    async def obliterate(self, queue: str, *, force: bool, limit: int) -> int:
        def transition(transaction: Transaction, row: QueueRow) -> int:
            if not row.paused:
                raise not_paused(queue)
            if row.counts[State.ACTIVE] and not force:
                raise has_running_jobs(queue)
            removed = sum(_remove_some(transaction, row, list(row.counts), limit))
            if removed == 0:
                transaction.forget_queue(row)
            return removed

        return await self._chunk(queue, transition)

    async def _chunk(self, queue: str, transition: Callable[[Transaction, QueueRow], int]) -> int:
        def chunk(transaction: Transaction) -> int:
            row = transaction.find_queue(queue)
            return 0 if row is None else transition(transaction, row)

        return await self._writer.run(chunk)


def revive_jobs(
    transaction: Transaction,
    row: QueueRow,
    state: State,
    found: Sequence[JobKey],
    *,
    reset_attempts: bool,
) -> None:
    """Put finished jobs of one state back in line."""
    places = _places(transaction, found)
    transaction.run("revive", int(reset_attempts), places)
    rest = _not_parked(transaction, row, found, state) if row.flows else found
    _lined_up(transaction, row, rest, state)


def promote_jobs(transaction: Transaction, row: QueueRow, found: Sequence[JobKey]) -> None:
    """Make delayed jobs ready now."""
    transaction.run("line_up", _places(transaction, found))
    _lined_up(transaction, row, found, State.DELAYED)


def promote_due(transaction: Transaction, row: QueueRow, *, until_ms: int, limit: int) -> int:
    """Put up to `limit` delayed jobs that are due until a moment at the end of the line."""
    if row.counts[State.DELAYED] == 0:
        return 0
    found = _decode(
        transaction.value(
            "due_find", row.id, until_ms, limit, transaction.boot, transaction.steady_ms
        )
    )
    if found:
        promote_jobs(transaction, row, found)
    return len(found)


def _not_parked(
    transaction: Transaction, row: QueueRow, found: Sequence[JobKey], before: State
) -> list[JobKey]:
    """Mend the ties of jobs that are back in line; return those that wait for no children."""
    parked = wait_again(transaction, row, [number for number, _, _ in found])
    for number, job_id, _ in found:
        if number in parked:
            row.moved(before, State.WAITING_CHILDREN)
            row.say(EventName.WAITING_CHILDREN, job_id, {"prev": before.value})
    return [job for job in found if job[0] not in parked]


def _remove_some(
    transaction: Transaction,
    row: QueueRow,
    states: Sequence[State],
    limit: int,
    kept: frozenset[int] = frozenset(),
) -> list[int]:
    """Remove up to `limit` jobs, but for the `kept` ones: the next ones of their schedules."""
    removed: list[int] = []
    for state in states:
        room = limit - sum(removed)
        if room > 0 and row.counts[state] > 0:
            found = places(transaction, row.id, state, limit=room + len(kept))
            numbers = [job.number for job in found if job.number not in kept][:room]
            remove_jobs(transaction, row, state, numbers)
            removed.append(len(numbers))
    return removed


def _clean_away(
    transaction: Transaction, row: QueueRow, state: State, numbers: Sequence[int]
) -> int:
    if numbers:
        remove_jobs(transaction, row, state, numbers)
        row.say(EventName.CLEANED, None, {"count": str(len(numbers))})
    return len(numbers)


def _decode(text: str) -> list[JobKey]:
    return msgspec.json.decode(text, type=list[tuple[int, str, int]])


def _places(transaction: Transaction, found: Sequence[JobKey]) -> str:
    ticket = transaction.tickets(len(found))
    places = [(number, ticket + index) for index, (number, _, _) in enumerate(found)]
    return msgspec.json.encode(places).decode()


def _lined_up(
    transaction: Transaction, row: QueueRow, found: Sequence[JobKey], before: State
) -> int:
    for _, job_id, priority in found:
        row.moved(before, ready_state(priority))
        row.say(EventName.WAITING, job_id, {"prev": before.value})
    transaction.readied = transaction.readied or bool(found)
    return len(found)
