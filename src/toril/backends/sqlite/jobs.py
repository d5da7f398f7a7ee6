"""Jobs one by one: add, look up, list, and an operator's verbs. In bulk: `bulk.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import msgspec

from toril.backends.cursors import cursor, no_cursor, split_cursor
from toril.backends.pending import Pending
from toril.backends.refusals import not_found
from toril.backends.sqlite.adding import add_jobs, ready_state
from toril.backends.sqlite.asides import let_go
from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.bulk import Bulk
from toril.backends.sqlite.deduplicating import held_by, holder_of
from toril.backends.sqlite.lookup import (
    Found,
    Place,
    find,
    find_many,
    places,
    read,
    require_job,
)
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.ties import read_ties, tell_failed, wait_again
from toril.backends.sqlite.transaction import QueueRow, Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.errors import BackendError
from toril.engine.contract.jobs import JobFilter, JobPage
from toril.engine.deduplication import HeldId
from toril.engine.events import EventName
from toril.engine.job import Added, JobRecord, NewJob
from toril.engine.states import FINISHED, LOOSE, READY, State

ADD_CHUNK = 500
"""Jobs that travel together when producers add them one by one."""

QUICK_TURN_S = 0.000_1
"""How long an event loop takes for a turn in which it has next to nothing to do."""


class SqliteJobs(Bulk):
    """The role `Jobs`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        super().__init__(writer)
        self._reader = reader
        self._clock = clock
        self._pending: dict[asyncio.AbstractEventLoop, tuple[Pending, float]] = {}
        """By loop, with the moment at which the first came, on `time.monotonic`."""

    async def add(self, jobs: Sequence[NewJob]) -> list[Added]:
        if len(jobs) != 1:
            return await self._writer.run(lambda transaction: add_jobs(transaction, jobs))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Added] = loop.create_future()
        gathered = self._pending.get(loop)
        if gathered is None:
            gathered = self._pending[loop] = (Pending([], []), time.monotonic())
            loop.call_soon(self._send, loop)
        pending = gathered[0]
        pending.jobs.append(jobs[0])
        pending.futures.append(future)
        if len(pending.jobs) >= ADD_CHUNK:
            self._send(loop)
        return [await future]

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what the calls of one turn of the loop have gathered."""
        gathered = self._pending.pop(loop, None)
        if gathered is not None:
            pending, since_s = gathered
            # A loop that came back to us this soon has nothing else to do.
            alone = len(pending.jobs) == 1 and time.monotonic() - since_s < QUICK_TURN_S
            self._add_together(pending, at_once=alone)

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
            for job, future in zip(*pending, strict=True):
                self._add_together(Pending([job], [future]))

    async def get(self, queue: str, job_id: str) -> JobRecord | None:
        def question(view: View) -> JobRecord | None:
            found = _find(view, queue, job_id)
            if found is None:
                return None
            records = read(view, queue, [found.number], self._clock)
            return records[0] if records else None

        return await self._reader.ask(question)

    async def page(self, wanted: JobFilter) -> JobPage:
        return await self._reader.ask(lambda view: self._page(view, wanted))

    def _page(self, view: View, page: JobFilter) -> JobPage:
        rows = view.run("queue_get", page.queue)
        if not rows:
            return JobPage([], None)
        states, after = _start(page)
        shown: list[Place] = []
        behind: str | None = None
        for state in states:
            room = page.limit - len(shown)
            found = places(
                view,
                rows[0][0],
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
            row = transaction.known_queue(queue)
            if row is None or find(transaction, row.id, job_id) is None:
                return None
            row, found = require_job(
                transaction,
                queue,
                job_id,
                states=LOOSE,
                verb="removed; cancel it first",
            )
            remove_jobs(transaction, row, found.state, [found.number])
            row.say(EventName.REMOVED, found.id, {"prev": found.state.value})
            return found.state

        return await self._writer.run(transition)

    async def retry(self, queue: str, job_id: str, *, reset_attempts: bool) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(
                transaction, queue, job_id, states=FINISHED[::-1], verb="retried"
            )
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
            row, found = require_job(
                transaction, queue, job_id, states=[State.DELAYED], verb="promoted"
            )
            place = (found.number, transaction.tickets(1))
            transaction.run("line_up", msgspec.json.encode([place]).decode())
            _lined_up(transaction, row, found)

        await self._writer.run(transition)

    async def change_delay(self, queue: str, job_id: str, *, delay_ms: int) -> None:
        def transition(transaction: Transaction) -> None:
            row, found = require_job(
                transaction, queue, job_id, states=[State.DELAYED], verb="delayed anew"
            )
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
            _, found = require_job(
                transaction,
                queue,
                job_id,
                states=LOOSE,
                verb="changed",
            )
            transaction.run("job_data", data, found.number)

        await self._writer.run(transition)

    async def cancel(self, queue: str, job_id: str, *, reason: str) -> State:
        def transition(transaction: Transaction) -> State:
            row, found = require_job(
                transaction,
                queue,
                job_id,
                states=[*READY, State.DELAYED, State.WAITING_CHILDREN, State.ACTIVE],
                verb="cancelled",
            )
            if found.state is State.ACTIVE:
                transaction.run("job_cancel", reason, found.number)
                transaction.spoke = True
                return found.state
            move = (
                found.number, "failed", None, None, 0, None, reason, None, transaction.now_ms, 0,
                None,
            )  # fmt: skip
            transaction.run("move", msgspec.json.encode([move]).decode())
            row.moved(found.state, State.FAILED)
            row.failed_total += 1
            if row.flows:
                for tie in read_ties(transaction, [found.number]).values():
                    tell_failed(transaction, queue, tie, reason)
            let_go(transaction, row, found.number)
            row.say(
                EventName.FAILED,
                found.id,
                {"failedReason": reason, "prev": found.state.value},
            )
            return found.state

        return await self._writer.run(transition)

    async def deduplicating(self, queue: str, deduplication_id: str) -> str | None:
        def question(view: View) -> str | None:
            rows = view.run("queue_get", queue)
            if not rows:
                return None
            now = (self._clock.now_ms(), boot_of(self._clock), self._clock.steady_ms())
            held = view.run("deduplication_get", rows[0][0], deduplication_id, *now)
            return held[0][1] if held else None

        return await self._reader.ask(question)

    async def release_deduplication(self, queue: str, deduplication_id: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            row = transaction.known_queue(queue)
            held = row is not None and holder_of(transaction, row, deduplication_id) is not None
            if row is not None and held:
                transaction.run("deduplication_release", row.id, deduplication_id)
            return held

        return await self._writer.run(transition)

    async def held_ids(self, queue: str, job_ids: Sequence[str]) -> list[HeldId | None]:
        def question(view: View) -> list[HeldId | None]:
            rows = view.run("queue_get", queue)
            if not rows:
                return [None] * len(job_ids)
            numbers = [
                None if job is None else job[0] for job in find_many(view, rows[0][0], job_ids)
            ]
            held = held_by(view, rows[0][0], numbers, self._clock)
            return [None if number is None else held.get(number) for number in numbers]

        return await self._reader.ask(question)

    async def logs(
        self, queue: str, job_id: str, *, start: int, limit: int
    ) -> tuple[list[str], int]:
        def question(view: View) -> tuple[list[str], int]:
            found = _find(view, queue, job_id)
            if found is None:
                raise not_found(queue, job_id)
            lines = view.run("log_read", found.number, limit, start)
            total = view.run("log_last", found.number)[0][1]
            return [line for (line,) in lines], total

        return await self._reader.ask(question)

    async def logs_many(self, queue: str, job_ids: Sequence[str]) -> list[list[str]]:
        def question(view: View) -> list[list[str]]:
            lines: list[list[str]] = [[] for _ in job_ids]
            rows = view.run("queue_get", queue)
            found = find_many(view, rows[0][0], job_ids) if rows else []
            numbers = [None if job is None else job[0] for job in found]
            for index, line in view.run("logs_read", msgspec.json.encode(numbers).decode()):
                lines[index].append(line)
            return lines

        return await self._reader.ask(question)

    async def add_log(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
        def transition(transaction: Transaction) -> int:
            _, found = require_job(transaction, queue, job_id)
            return append_log(transaction, found.number, [line], keep)

        return await self._writer.run(transition)


def append_log(transaction: Transaction, number: int, lines: Sequence[str], keep: int) -> int:
    """Add lines to a job's log, drop all but the newest `keep`, return how many are left."""
    last, kept = transaction.run("log_last", number)[0]
    last = last or 0
    for line in lines[-keep:] if keep else ():
        last += 1
        transaction.run("log_add", number, last, line)
    kept = min(kept + len(lines), keep)
    transaction.run("log_trim", number, last - keep)
    return int(kept)


def _find(view: View, queue: str, job_id: str) -> Found | None:
    rows = view.run("queue_get", queue)
    return find(view, rows[0][0], job_id) if rows else None


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
