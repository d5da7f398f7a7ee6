"""Figures of queues. Each transition updates them, so that nothing has to count jobs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from toril.backends.sqlite.lookup import find
from toril.backends.sqlite.queue_row import PAUSED_TO_MOVE, QueueRow
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.contract.counts import JobPlace, QueueRecord
from toril.engine.states import READY, State


class SqliteCounts:
    """The role `Counts`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def queues(self, *, search: bool = False) -> list[QueueRecord]:
        def question(view: View) -> list[QueueRecord]:
            return [self._record(view, row) for row in view.run("queue_list")]

        return await self._reader.ask(question)

    async def queue(self, name: str) -> QueueRecord | None:
        def question(view: View) -> QueueRecord | None:
            rows = view.run("queue_get", name)
            return self._record(view, rows[0]) if rows else None

        return await self._reader.ask(question)

    async def running(self, queues: Sequence[str]) -> dict[str, int]:
        def question(view: View) -> dict[str, int]:
            found: Counter[str] = Counter()
            for name in queues:
                for row in view.run("queue_get", name):
                    found.update(dict(view.run("running", QueueRow(row).id)))
            return {worker: jobs for worker, jobs in found.items() if worker}

        return await self._reader.ask(question)

    async def by_priority(self, name: str, priorities: Sequence[int]) -> list[int]:
        def question(view: View) -> list[int]:
            rows = view.run("queue_get", name)
            if not rows:
                return [0] * len(priorities)
            row = QueueRow(rows[0])
            return [
                row.counts[State.WAIT]
                if priority == 0
                else int(view.run("priority_count", row.id, priority)[0][0])
                for priority in priorities
            ]

        return await self._reader.ask(question)

    async def raise_totals(self, name: str, *, completed: int, failed: int) -> None:
        def transition(transaction: Transaction) -> None:
            row = transaction.queue(name)
            row.completed_total = max(row.completed_total, completed)
            row.failed_total = max(row.failed_total, failed)

        await self._writer.run(transition)

    async def place(self, queue: str, job_id: str, *, limit: int) -> JobPlace | None:
        def question(view: View) -> JobPlace | None:
            rows = view.run("queue_get", queue)
            row = QueueRow(rows[0]) if rows else None
            found = None if row is None else find(view, row.id, job_id)
            if row is None or found is None:
                return None
            ahead = None
            if found.state in READY:
                place = view.run("job_place", found.number)[0]
                # One more tells whether there are more.
                ahead = int(view.run("ahead_count", row.id, *place, limit + 1)[0][0])
            return JobPlace(
                state=found.state,
                ahead=None if ahead is None else min(ahead, limit),
                more=ahead is not None and ahead > limit,
                paused_at_ms=view.run("queue_paused_at", row.id)[0][0] if row.paused else None,
            )

        return await self._reader.ask(question)

    def _record(self, view: View, values: tuple[Any, ...]) -> QueueRecord:
        row = QueueRow(values)
        oldest = view.run("oldest_waiting", row.id)
        steady_ms = self._clock.steady_ms()
        in_window = row.window_begins_ms <= steady_ms < row.window_ends_ms
        is_held = row.held_from_ms <= steady_ms < row.held_until_ms
        return QueueRecord(
            name=row.name,
            paused=bool(row.paused),
            counts={state: row.counts.get(state, 0) for state in State},
            completed_total=row.completed_total,
            failed_total=row.failed_total,
            oldest_waiting_ms=self._clock.now_ms() - oldest[0][0] if oldest else None,
            concurrency=row.concurrency,
            rate_limit=row.rate_limit,
            rate_window_ms=row.rate_window_ms,
            events=row.told,
            history=bool(row.history),
            moving=row.paused == PAUSED_TO_MOVE,
            window_starts=row.window_count if in_window else 0,
            window_left_ms=row.window_ends_ms - steady_ms if in_window else 0,
            hold_left_ms=row.held_until_ms - steady_ms if is_held else 0,
        )
