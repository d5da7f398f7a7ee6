"""Counts attempts that have ended, for the history: one row for each kind of them a transaction.

What becomes of the rows: `history.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from toril.backends.sqlite.calendar import dated_ms
from toril.backends.sqlite.queue_row import QueueRow
from toril.engine.contract.history import MINUTE_MS
from toril.engine.job import Finished
from toril.engine.tally import MAX_TASKS, OTHERS, OUTCOMES, cell_of

if TYPE_CHECKING:
    from toril.backends.sqlite.transaction import Transaction

COMPLETED, FAILED, RETRIED = range(len(OUTCOMES))


class Tallies:
    """The counts of one transaction that are not written yet."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[int, str, int], list[int]] = {}
        """Queue, task and cell to how many, and the sums of their waits and runs in ms."""

    def add(self, queue_id: int, task: str, cell: int, wait_ms: int, run_ms: int) -> None:
        """Count one attempt."""
        found = self._counts.get((queue_id, task, cell))
        if found is None:
            self._counts[queue_id, task, cell] = [1, wait_ms, run_ms]
        else:
            found[0] += 1
            found[1] += wait_ms
            found[2] += run_ms

    def forget(self, queue_id: int) -> None:
        """Drop the counts of a queue that goes."""
        self._counts = {key: row for key, row in self._counts.items() if key[0] != queue_id}

    def write(self, transaction: Transaction) -> None:
        """Write the counts into the minute of now."""
        if not self._counts:
            return
        minute = dated_ms(transaction) // MINUTE_MS
        rows: list[tuple[Any, ...]] = [(*key, *row) for key, row in self._counts.items()]
        self._counts = {}
        if len(rows) == 1:  # a worker of one slot: no JSON
            transaction.run("history_count_one", minute, *rows[0])
        else:
            transaction.run("history_count", minute, msgspec.json.encode(rows).decode())


def count(transaction: Transaction, row: QueueRow, place: int, outcome: Finished) -> None:
    """Count how an attempt ended. The caller has seen that the queue's history is written.

    Parameters:
        place: The outcome's place in `OUTCOMES`; it need not be the one that the worker sent.
    """
    wait_ms, run_ms = outcome.waited_ms, transaction.now_ms - outcome.started_ms
    if run_ms < 0:  # the calendar was put back
        run_ms = 0
    _add(transaction, row, outcome.name, cell_of(place, wait_ms, run_ms), max(0, wait_ms), run_ms)


def count_unrun(transaction: Transaction, row: QueueRow, task: str) -> None:
    """Count a failure of a job that was cancelled before it ran."""
    _add(transaction, row, task, cell_of(FAILED, -1, -1), 0, 0)


def _add(
    transaction: Transaction, row: QueueRow, task: str, cell: int, wait_ms: int, run_ms: int
) -> None:
    tallies = transaction.tallies
    if tallies is None:
        tallies = transaction.tallies = Tallies()
    names = transaction.task_names.get(row.id)
    if names is None:
        names = transaction.task_names[row.id] = {OTHERS}
    if task not in names:
        if task and len(names) < MAX_TASKS:
            names.add(task)
        else:
            task = OTHERS
    tallies.add(row.id, task, cell, wait_ms, run_ms)
