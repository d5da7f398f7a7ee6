"""De-duplication ids: which new job may have one, and what happens to the others.

What happens when a holder finishes: `asides.py`. Rules: spec, section 3.15.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from toril.backends.sqlite.boots import boot_of
from toril.backends.sqlite.lookup import Found, find, queue_id
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.removing import remove_jobs
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.deduplication import Aside, DeduplicationRule, HeldId
from toril.engine.events import EventName
from toril.engine.job import NewJob
from toril.engine.states import State

TRIM_MANY = 2
"""Ids whose time is over that each new one clears away, so that they cannot pile up."""


class SqliteDeduplicationIds:
    """The role `DeduplicationIds`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def holder(self, queue: str, deduplication_id: str) -> str | None:
        def question(view: View) -> str | None:
            number = queue_id(view, queue)
            if number is None:
                return None
            now = (self._clock.now_ms(), boot_of(self._clock), self._clock.steady_ms())
            held = view.run("deduplication_get", number, deduplication_id, *now)
            return Holder(*held[0]).job_id if held else None

        return await self._reader.ask(question)

    async def release(self, queue: str, deduplication_id: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            row = transaction.find_queue(queue)
            return row is not None and release(transaction, row, deduplication_id)

        return await self._writer.run(transition)


class Holder(NamedTuple):
    """Who holds an id."""

    number: int
    job_id: str
    ends_ms: int | None
    aside: str | None
    boot: int | None
    ends_steady_ms: int | None


NO_END = (None, None)
"""`boot` and `ends_steady_ms` of an id that is held until its job finishes."""
LONG_AGO_MS = 0
"""`ends_ms` of an id that was released while a job was put aside for its holder."""


def holder_of(transaction: Transaction, row: QueueRow, deduplication_id: str) -> Holder | None:
    """Return the job that holds an id, which may be gone while a time runs; None: nobody."""
    if not row.deduplicates:
        return None
    now = (transaction.now_ms, transaction.boot, transaction.steady_ms)
    rows = transaction.run("deduplication_get", row.id, deduplication_id, *now)
    return Holder(*rows[0]) if rows else None


def held_by(
    view: View, queue_id: int, numbers: Sequence[int | None], clock: Clock
) -> dict[int, HeldId]:
    """Return the ids that jobs hold, by their numbers."""
    held: dict[int, HeldId] = {}
    listing = msgspec.json.encode([number for number in numbers if number is not None]).decode()
    for number, deduplication_id, ends_ms, text, boot, ends_steady_ms in view.run(
        "deduplications_held", listing, queue_id
    ):
        left_ms = None if ends_ms is None else ends_ms - clock.now_ms()
        if left_ms is not None and boot == boot_of(clock):
            left_ms = min(left_ms, ends_steady_ms - clock.steady_ms())
        if left_ms is None or left_ms > 0:
            aside = None if text is None else read_aside(text)
            held[number] = HeldId(deduplication_id, left_ms, aside)
    return held


def deduplicate(
    transaction: Transaction, row: QueueRow, number: int, ticket: int, job_id: str, job: NewJob
) -> str | None:
    """Let a new job take its id. Returns the job that holds it, if the new one gives way.

    All jobs that were added before have to be stored. The new one's number and place in line may be
    used for nothing else.
    """
    rule = job.deduplication
    assert rule is not None  # noqa: S101 - the caller has looked
    row.deduplicates = 1
    host = (transaction.boot, transaction.steady_ms)
    transaction.run("deduplications_trim", row.id, transaction.now_ms, TRIM_MANY, *host)
    holder = holder_of(transaction, row, rule.id)
    if holder is None:
        _hold(transaction, row, rule, number, job_id)
        return None
    found = find(transaction, row.id, holder.job_id)
    state = None if found is None else found.state
    if rule.keep_last_if_active and state is State.ACTIVE:
        _put_aside(transaction, row, holder, rule, job_id, job)
    elif rule.replace:
        if found is None or state is not State.DELAYED:
            return holder.job_id
        _take_place(transaction, row, holder, found, rule, number, job_id)
        return None
    elif rule.extend and rule.hold_ms is None and found is None:
        # It would hold for ever: nobody is left to let go of it.
        transaction.run("deduplication_release", row.id, rule.id)
    elif rule.extend:
        _hold(transaction, row, rule, holder.number, holder.job_id, aside=holder.aside)
    _say(row, holder.job_id, rule, job_id)
    if rule.reschedule and found is not None and state is State.DELAYED:
        _reschedule(transaction, row, found, ticket, job)
    return holder.job_id


def release(transaction: Transaction, row: QueueRow, deduplication_id: str) -> bool:
    """Let the next job have an id. Returns whether one held it.

    A job that was put aside is added when the holder has finished, unless the next one takes the id
    before.
    """
    holder = holder_of(transaction, row, deduplication_id)
    if holder is None:
        return False
    if holder.aside is None:
        transaction.run("deduplication_release", row.id, deduplication_id)
    else:
        held = (deduplication_id, holder.number, holder.job_id)
        transaction.run("deduplication_set", row.id, *held, LONG_AGO_MS, holder.aside, *NO_END)
    return True


def read_aside(text: str) -> Aside | None:
    """Return the job that was put aside. Nonsense, which none of ours has written, is none."""
    try:
        return msgspec.json.decode(text, type=Aside)
    except (ValueError, RecursionError):
        return None


def adopt_hold(
    transaction: Transaction, row: QueueRow, number: int, job_id: str, held: HeldId
) -> None:
    """Let a job that comes from another store hold its id here, unless another one does."""
    row.deduplicates = 1
    if holder_of(transaction, row, held.id) is None:
        ends_ms, *end = _end(transaction, held.left_ms)
        aside = None if held.aside is None else msgspec.json.encode(held.aside).decode()
        transaction.run("deduplication_set", row.id, held.id, number, job_id, ends_ms, aside, *end)


def _hold(
    transaction: Transaction,
    row: QueueRow,
    rule: DeduplicationRule,
    number: int,
    job_id: str,
    aside: str | None = None,
) -> None:
    ends_ms, *end = _end(transaction, rule.hold_ms)
    transaction.run("deduplication_set", row.id, rule.id, number, job_id, ends_ms, aside, *end)


def _end(transaction: Transaction, hold_ms: int | None) -> tuple[int | None, ...]:
    """Return when an id is free that is held for so long: `ends_ms`, `boot`, `ends_steady_ms`."""
    if hold_ms is None:
        return (None, *NO_END)
    return transaction.now_ms + hold_ms, transaction.boot, transaction.steady_ms + hold_ms


def _put_aside(
    transaction: Transaction,
    row: QueueRow,
    holder: Holder,
    rule: DeduplicationRule,
    job_id: str,
    job: NewJob,
) -> None:
    """Keep the newest of the jobs that come while the holder runs. It now holds to its end."""
    aside = Aside(
        job_id=job_id, name=job.name, data=job.data, opts=job.opts, run_at_ms=job.run_at_ms
    )
    text = msgspec.json.encode(aside).decode()
    holds = (rule.id, holder.number, holder.job_id)
    transaction.run("deduplication_set", row.id, *holds, None, text, *NO_END)


def _take_place(
    transaction: Transaction,
    row: QueueRow,
    holder: Holder,
    found: Found,
    rule: DeduplicationRule,
    number: int,
    job_id: str,
) -> None:
    remove_jobs(transaction, row, State.DELAYED, [found.number])
    if rule.hold_ms is not None and not rule.extend:  # its time goes on
        end = (holder.boot, holder.ends_steady_ms)
        transaction.run(
            "deduplication_set", row.id, rule.id, number, job_id, holder.ends_ms, None, *end
        )
    else:
        _hold(transaction, row, rule, number, job_id)
    row.say(EventName.REMOVED, holder.job_id, {"prev": State.DELAYED.value})
    _say(row, job_id, rule, holder.job_id)


def _reschedule(
    transaction: Transaction, row: QueueRow, found: Found, ticket: int, job: NewJob
) -> None:
    timestamp_ms = transaction.now_ms if job.timestamp_ms is None else job.timestamp_ms
    due_ms = job.due_ms(timestamp_ms)
    delay_ms = max(0, due_ms - timestamp_ms)
    boot = due_steady_ms = None
    if job.run_at_ms is None:
        boot = transaction.boot
        due_steady_ms = transaction.steady_ms + max(0, due_ms - transaction.now_ms)
    transaction.run("job_delay", due_ms, ticket, delay_ms, boot, due_steady_ms, found.number)
    row.say(EventName.DELAYED, found.id, {"delay": str(due_ms)})
    transaction.readied = True


def _say(row: QueueRow, stays: str, rule: DeduplicationRule, goes: str) -> None:
    more = {"deduplicationId": rule.id, "deduplicatedJobId": goes}
    row.say(EventName.DEDUPLICATED, stays, more)
