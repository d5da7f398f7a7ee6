"""Counts attempts that have ended, for the history.

The counts of a minute lie in the row of their queue, which each outcome writes anyway, so that the
history costs no statement and no page of its own. When the minute is over, or there are many, they
go to the table `history_open`. What becomes of them there: `history.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
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
MOST_CELLS = 24
"""Different counts that the row of a queue holds: some 600 bytes."""

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(list[Any])


class Cells:
    """The counts in the row of one queue."""

    __slots__ = ("_texts", "changed", "index", "minute")

    def __init__(self, text: str) -> None:
        """Read `open_counts`. Anything else that is stored there counts as nothing."""
        try:
            minute, *rows = _DECODER.decode(text) if text else (0,)
        except ValueError:
            minute, rows = 0, []
        self.minute: int = minute
        """Whose counts these are."""
        self.index: dict[tuple[str, int], list[Any]] = {(row[0], row[1]): row for row in rows}
        """Task and cell to task, cell, how many, and the sums of waits and runs in ms."""
        self.changed: set[tuple[str, int]] = set(self.index)
        """What was counted since `text` was asked for."""
        self._texts: dict[tuple[str, int], str] = {}

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.index.values())

    def begin(self, minute: int) -> None:
        """Empty it, for another minute."""
        self.minute = minute
        self.index.clear()
        self.changed.clear()
        self._texts.clear()

    def add(self, task: str, cell: int, wait_ms: int, run_ms: int) -> None:
        """Count one attempt."""
        key = (task, cell)
        row = self.index.get(key)
        if row is None:
            self.index[key] = [task, cell, 1, wait_ms, run_ms]
        else:
            row[2] += 1
            row[3] += wait_ms
            row[4] += run_ms
        self.changed.add(key)

    def text(self) -> str:
        """Return what is stored. Only what has changed is encoded anew."""
        if not self.index:
            return ""
        for key in self.changed:
            self._texts[key] = _ENCODER.encode(self.index[key]).decode()
        self.changed.clear()
        return f"[{self.minute},{','.join(self._texts.values())}]"


def cells_of(row: QueueRow) -> Cells:
    """Return the counts in the row of a queue."""
    cells: Cells | None = row.cells
    if cells is None:
        cells = row.cells = Cells(row.open_counts)
    return cells


def count(transaction: Transaction, row: QueueRow, place: int, outcome: Finished) -> None:
    """Count how an attempt ended. The caller has seen that the queue's history is written.

    Parameters:
        place: The outcome's place in `OUTCOMES`; it need not be the one that the worker sent.
    """
    wait_ms, run_ms = outcome.waited_ms, transaction.now_ms - outcome.started_ms
    if run_ms < 0:  # the calendar was put back
        run_ms = 0
    cell = cell_of(place, wait_ms, run_ms)
    if wait_ms < 0:
        wait_ms = 0
    minute = transaction.minute
    if minute is None:
        minute = transaction.minute = dated_ms(transaction) // MINUTE_MS
    cells: Cells | None = row.cells
    if cells is not None and cells.minute == minute:
        key = (outcome.name, cell)
        found = cells.index.get(key)
        if found is not None:  # by far the commonest, and every outcome comes by
            found[2] += 1
            found[3] += wait_ms
            found[4] += run_ms
            cells.changed.add(key)
            row.counted = True
            return
    _add(transaction, row, outcome.name, cell, wait_ms, run_ms)


def count_unrun(transaction: Transaction, row: QueueRow, task: str) -> None:
    """Count a failure of a job that was cancelled before it ran."""
    _add(transaction, row, task, cell_of(FAILED, -1, -1), 0, 0)


def spill(transaction: Transaction, row: QueueRow, minute: int | None = None) -> None:
    """Move the counts of a queue's row to the table; those of `minute` may stay."""
    cells = cells_of(row)
    if len(cells) and cells.minute != minute:
        counts = _ENCODER.encode([(row.id, *each) for each in cells]).decode()
        transaction.run("history_count", cells.minute, counts)
        cells.begin(cells.minute)
        row.open_counts = ""


def _add(
    transaction: Transaction, row: QueueRow, task: str, cell: int, wait_ms: int, run_ms: int
) -> None:
    minute = transaction.minute
    if minute is None:
        minute = transaction.minute = dated_ms(transaction) // MINUTE_MS
    cells = cells_of(row)
    if cells.minute != minute or len(cells) > MOST_CELLS:
        spill(transaction, row)
        cells.begin(minute)
    names = transaction.task_names.get(row.id)
    if names is None:
        names = transaction.task_names[row.id] = {OTHERS}
    if task not in names:
        if task and len(names) < MAX_TASKS:
            names.add(task)
        else:
            task = OTHERS
    cells.add(task, cell, wait_ms, run_ms)
    row.counted = True
