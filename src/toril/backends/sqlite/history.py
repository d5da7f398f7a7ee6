"""The role `History`: rows of periods, and the rolling up of minutes that are over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.calendar import dated_ms
from toril.backends.sqlite.queue_row import QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.tallies import cells_of, spill
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.history import MINUTE_MS, HistoryRow, Level
from toril.engine.states import State
from toril.engine.tally import MAX_TASKS, OTHERS, Tally, packed, unpacked

TRIM_EVERY_MS = 600_000
"""Between two looks of one process for periods that have become too old."""
AHEAD_MS = 86_400_000
"""Minutes that are dated further into the future were written by a wrong calendar."""
_FAR_MS = 2**62


class SqliteHistory:
    """The role `History`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def keep(self, queue: str, kept: bool) -> None:
        def transition(transaction: Transaction) -> None:
            transaction.queue(queue).history = int(kept)

        await self._writer.run(transition)

    async def read(
        self, queue: str, level: Level, *, since_ms: int, until_ms: int
    ) -> list[HistoryRow]:
        if level is Level.EVER:
            since_ms, until_ms = 0, _FAR_MS

        def question(view: View) -> list[HistoryRow]:
            rows = view.run("queue_get", queue)
            if not rows:
                return []
            row = QueueRow(rows[0])
            queue_id = row.id
            found = [
                HistoryRow(start_ms, task, unpacked(text))
                for start_ms, task, text in view.run(
                    "history_read", queue_id, int(level), since_ms, until_ms
                )
            ]
            minutes = since_ms // MINUTE_MS, -(-until_ms // MINUTE_MS)
            counts = view.run("history_open_read", queue_id, *minutes)
            cells = cells_of(row)
            if minutes[0] <= cells.minute < minutes[1]:
                counts += [(cells.minute, *each) for each in cells]
            return sorted(found + _open(counts), key=lambda row: (row.start_ms, row.task))

        return await self._reader.ask(question)

    async def roll_up(self, *, limit: int) -> bool:
        return await self._writer.run(
            lambda transaction: roll_up(transaction, limit), durable=False
        )

    async def adopt(self, queue: str, level: Level, rows: Sequence[HistoryRow]) -> None:
        found = [(row.start_ms, row.task, packed(row.tally)) for row in rows]

        def transition(transaction: Transaction) -> None:
            row = transaction.queue(queue)
            transaction.run(
                "history_adopt", row.id, int(level), msgspec.json.encode(found).decode()
            )

        await self._writer.run(transition)


def roll_up(transaction: Transaction, limit: int) -> bool:
    """Add counts of minutes that are over to their periods; return whether there are more."""
    now_ms = dated_ms(transaction)
    minute = now_ms // MINUTE_MS
    for name in transaction.queue_names():
        spill(transaction, transaction.queue(name), minute)
    transaction.flush()
    rows = transaction.run("history_closed", minute, limit)
    tallies: dict[tuple[int, int, str], Tally] = {}
    for queue_id, closed, task, cell, many, wait_ms, run_ms in rows:
        _count(tallies.setdefault((queue_id, closed, task), Tally()), cell, many, wait_ms, run_ms)
    if rows:
        cells = [row[:4] for row in rows]
        transaction.run("history_close", msgspec.json.encode(cells).decode())
    _add(transaction, tallies, (Level.MINUTE, Level.HOUR, Level.DAY, Level.EVER))
    _put_right(transaction, now_ms, limit)
    if transaction.is_time("history ages", MINUTE_MS // 2):
        _note_ages(transaction, minute)
    if transaction.is_time("history trim", TRIM_EVERY_MS):
        _trim(transaction, now_ms, limit)
    return len(rows) == limit


def _count(tally: Tally, cell: int, many: int, wait_ms: int, run_ms: int) -> None:
    if many:
        tally.count(cell, many, wait_ms, run_ms)
    else:  # how long the queue's next job has waited
        tally.oldest_ms = max(tally.oldest_ms, wait_ms)


def _open(rows: Sequence[tuple[Any, ...]]) -> list[HistoryRow]:
    tallies: dict[tuple[int, str], Tally] = {}
    for minute, task, *counted in rows:
        _count(tallies.setdefault((minute, task), Tally()), *counted)
    return [
        HistoryRow(minute * MINUTE_MS, task, tally) for (minute, task), tally in tallies.items()
    ]


def _add(
    transaction: Transaction,
    tallies: dict[tuple[int, int, str], Tally],
    levels: Sequence[Level],
) -> None:
    """Add what was counted in minutes to the periods that they are in."""
    sums: dict[tuple[int, int, int, str], Tally] = {}
    known: dict[int, set[str]] = {}
    for (queue_id, minute, name), tally in tallies.items():
        task = _told_apart(transaction, known, queue_id, name)
        for level in levels:
            period_ms = level.period_ms
            start_ms = 0 if not period_ms else minute * MINUTE_MS // period_ms * period_ms
            sums.setdefault((queue_id, int(level), start_ms, task), Tally()).merge(tally)
    for key, tally in sums.items():
        stored = transaction.value("tally_get", *key)
        if stored is not None:
            tally.merge(unpacked(stored))
        transaction.run("history_put", *key, packed(tally))


def _told_apart(
    transaction: Transaction, known: dict[int, set[str]], queue_id: int, task: str
) -> str:
    """Return the name under which a task is kept: there is room for so many of a queue."""
    names = known.get(queue_id)
    if names is None:
        found = transaction.run("history_read", queue_id, int(Level.EVER), 0, 1)
        names = known[queue_id] = {"", OTHERS, *(row[1] for row in found)}
    if task not in names:
        if len(names) >= MAX_TASKS + 2:
            return OTHERS
        names.add(task)
    return task


def _put_right(transaction: Transaction, now_ms: int, limit: int) -> None:
    """Date minutes that lie in the future as of now: a calendar was wrong when they were written.

    Otherwise they would join what is counted when that time comes.
    """
    after_ms = now_ms + AHEAD_MS
    tallies: dict[tuple[int, int, str], Tally] = {}
    for queue_id, start_ms, task, text in transaction.run("history_ahead", after_ms, limit):
        key = (queue_id, now_ms // MINUTE_MS, task)
        tallies.setdefault(key, Tally()).merge(unpacked(text))
        transaction.run("history_drop", queue_id, int(Level.MINUTE), start_ms, task)
        transaction.run("history_drop_ahead", queue_id, after_ms)
    _add(transaction, tallies, (Level.MINUTE, Level.HOUR, Level.DAY))


def _note_ages(transaction: Transaction, minute: int) -> None:
    for name in transaction.queue_names():
        row = transaction.queue(name)
        if row.history and (row.counts[State.WAIT] or row.counts[State.PRIORITIZED]):
            oldest = transaction.value("oldest_waiting", row.id)
            if oldest is not None:
                transaction.run("history_age", row.id, minute, max(0, transaction.now_ms - oldest))


def _trim(transaction: Transaction, now_ms: int, limit: int) -> None:
    for name in transaction.queue_names():
        queue_id = transaction.queue(name).id
        for level in (Level.MINUTE, Level.HOUR, Level.DAY):
            before_ms = now_ms - level.kept_ms - level.period_ms
            transaction.run("history_trim", queue_id, int(level), before_ms, 10 * limit)
