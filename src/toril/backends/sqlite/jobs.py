"""Single jobs: add, look up, list, and an operator's verbs. Many jobs: `bulk.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.pending import Gathering, Pending
from toril.backends.refusals import of_schedule
from toril.backends.sqlite.adding import add_jobs, ready_state
from toril.backends.sqlite.asides import let_go
from toril.backends.sqlite.lookup import (
    Found,
    SortKey,
    find,
    find_in,
    places,
    queue_id,
    read,
    require_job,
)
from toril.backends.sqlite.moves import Move, move
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.schedules import is_next
from toril.backends.sqlite.ties import read_ties, tell_failed, wait_again
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.errors import BackendError
from toril.engine.contract.jobs import JobFilter, JobPage
from toril.engine.events import EventName
from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.states import READY, State

ADD_CHUNK = 500
"""Jobs that travel together when producers add them one by one."""

QUICK_TURN_S = 0.000_1
"""How long an event loop takes for a turn in which it has next to nothing to do."""


class SqliteJobs:
    """The role `Jobs`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._gathering = Gathering(self._send, ADD_CHUNK)

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        if len(jobs) != 1:
            return await self._writer.run(lambda transaction: add_jobs(transaction, jobs))
        return [await self._gathering.add(jobs[0])]

    def _send(self, pending: Pending) -> None:
        """Send what the calls of one turn of the loop have gathered."""
        # An event loop that ended its turn this soon has nothing else to do.
        quick = time.monotonic() - pending.since_s < QUICK_TURN_S
        self._add_together(pending, at_once=quick and len(pending.jobs) == 1)

    def _add_together(self, pending: Pending, *, at_once: bool = False) -> None:
        try:
            added = self._writer.start(
                lambda transaction: add_jobs(transaction, pending.jobs), at_once=at_once
            )
        except BackendError as error:
            pending.fail(error)
            return
        if added.done():
            self._answer(pending, added)
        else:
            added.add_done_callback(lambda added: self._answer(pending, added))

    def _answer(self, pending: Pending, added: asyncio.Future[list[Added]]) -> None:
        error = added.exception()
        if error is None:
            pending.succeed(added.result())
        elif isinstance(error, BackendError) or len(pending.jobs) == 1:
            pending.fail(error)
        else:
            # One of them cannot be stored: each on its own, so that only that one is refused.
            for alone in pending.one_by_one():
                self._add_together(alone)

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        def question(view: View) -> JobRecord | None:
            found = find_in(view, queue, job_id)
            if found is None:
                return None
            records = read(view, queue, [found.number], self._clock)
            return records[0] if records else None

        return await self._reader.ask(question)

    async def page(self, wanted: JobFilter) -> JobPage:
        return await self._reader.ask(lambda view: self._page(view, wanted))

    def _page(self, view: View, page: JobFilter) -> JobPage:
        queue = queue_id(view, page.queue)
        if queue is None:
            return JobPage([], None)
        states, after = _start(page)
        shown: list[SortKey] = []
        behind: str | None = None
        for state in states:
            room = page.limit - len(shown)
            found = places(
                view,
                queue,
                state,
                limit=room + 1,  # one more tells whether this is the last page
                after=after,
                newest_first=page.newest_first,
            )
            shown += found[:room]
            if len(found) > room:
                last = found[room - 1] if room else None
                behind = cursor(state, "" if last is None else f"{last.first}.{last.second}")
                break
            after = None
        records = read(view, page.queue, [job.number for job in shown], self._clock)
        return JobPage(records, behind)

    async def remove(self, queue: str, job_id: str) -> State | None:
        def transition(transaction: Transaction) -> State | None:
            row = transaction.find_queue(queue)
            if row is None or find(transaction, row.id, job_id) is None:
                return None
            row, found = require_job(transaction, queue, job_id, "remove")
            if is_next(transaction, row, found.id):
                raise of_schedule(queue, found.id)
            remove_jobs(transaction, row, found.state, [found.number])
            row.say(EventName.REMOVED, found.id, {"prev": found.state.value})
            return found.state

        return await self._writer.run(transition)

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(transaction, queue, job_id, "retry")
            place = (found.number, transaction.tickets(1))
            transaction.run("revive", int(reset_attempts), msgspec.json.encode([place]).decode())
            if row.flows and wait_again(transaction, row, [found.number]):
                row.moved(found.state, State.WAITING_CHILDREN)
                row.say(EventName.WAITING_CHILDREN, found.id, {"prev": found.state.value})
                return
            _lined_up(transaction, row, found)

        await self._writer.run(transition)

    async def promote(self, queue: str, job_id: str) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(transaction, queue, job_id, "promote")
            place = (found.number, transaction.tickets(1))
            transaction.run("line_up", msgspec.json.encode([place]).decode())
            _lined_up(transaction, row, found)

        await self._writer.run(transition)

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(transaction, queue, job_id, "change_delay")
            due_ms = transaction.now_ms + delay_ms
            wait = (transaction.boot, transaction.steady_ms + delay_ms)
            place = transaction.tickets(1)
            transaction.run("job_delay", due_ms, place, delay_ms, *wait, found.number)
            row.say(EventName.DELAYED, found.id, {"delay": str(due_ms)})
            transaction.readied = True

        await self._writer.run(transition)

    async def change_priority(self, queue: str, job_id: str, *, priority: int, lifo: bool) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(transaction, queue, job_id)
            if found.state not in READY:
                transaction.run("job_priority", priority, None, None, found.number)
                return
            ticket = transaction.tickets(1)
            state = ready_state(priority)
            transaction.run(
                "job_priority", priority, -ticket if lifo else ticket, state.value, found.number
            )
            row.moved(found.state, state)
            transaction.readied = True

        await self._writer.run(transition)

    async def update_data(self, queue: str, job_id: str, *, data: str) -> None:
        def transition(transaction: Transaction) -> None:
            _, found = require_job(transaction, queue, job_id, "update_data")
            transaction.run("job_data", data, found.number)

        await self._writer.run(transition)

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        def transition(transaction: Transaction) -> State:
            row, found = require_job(transaction, queue, job_id, "cancel")
            cancel_job(transaction, row, found, reason)
            return found.state

        return await self._writer.run(transition)


def cancel_job(transaction: Transaction, row: QueueRow, found: Found, reason: str) -> None:
    """Stop a job that has not finished: at once, or by telling the worker that runs it."""
    if found.state is State.ACTIVE:
        transaction.run("job_cancel", reason, found.number)
        transaction.spoke = True
        return
    failed = Move(
        number=found.number,
        state=State.FAILED,
        delay_ms=0,
        failed_reason=reason,
        finished_ms=transaction.now_ms,
        stalled=0,
    )
    move(transaction, [failed])
    row.moved(found.state, State.FAILED)
    row.failed_total += 1
    if row.flows:
        for tie in read_ties(transaction, [found.number]).values():
            tell_failed(transaction, row.name, tie, reason)
    let_go(transaction, row, found.number)
    row.say(
        EventName.FAILED,
        found.id,
        {"failedReason": reason, "prev": found.state.value},
    )


def _lined_up(transaction: Transaction, row: QueueRow, found: Found) -> None:
    row.moved(found.state, ready_state(found.priority))
    row.say(EventName.WAITING, found.id, {"prev": found.state.value})
    transaction.readied = True


def _start(page: JobFilter) -> tuple[Sequence[State], tuple[int, int] | None]:
    """Return the states of a page, and the place in the first behind which it begins."""
    if page.after is None:
        return page.states, None
    state, place = split_cursor(page.after, page.states)
    states = page.states[page.states.index(state) :]
    if place == [""]:
        return states, None
    first, _separator, second = place[0].partition(".")
    try:
        return states, (int(first), int(second))
    except ValueError:
        raise no_cursor(page.after) from None
