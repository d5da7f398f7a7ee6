"""Limits of a queue, kept in its row."""

from __future__ import annotations

from collections.abc import Callable

from toril.backends.sqlite.queue_row import PAUSED, PAUSED_TO_MOVE, QueueRow
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.events import EventName


class SqliteLimits:
    """The role `Limits`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def pause(self, queue: str, *, moving: bool = False) -> None:
        def change(row: QueueRow, transaction: Transaction) -> None:
            if moving and row.paused:
                return
            if not row.paused:
                transaction.run("queue_paused", transaction.now_ms, row.id)
            row.paused = PAUSED_TO_MOVE if moving else PAUSED
            row.say(EventName.PAUSED)

        await self._change(queue, change)

    async def resume(self, queue: str) -> None:
        def change(row: QueueRow, transaction: Transaction) -> None:
            row.paused = 0
            transaction.run("queue_paused", None, row.id)
            row.say(EventName.RESUMED)

        await self._change(queue, change)

    async def set_concurrency(self, queue: str, limit: int | None) -> None:
        def change(row: QueueRow, _: Transaction) -> None:
            row.concurrency = limit

        await self._change(queue, change)

    async def set_rate(self, queue: str, limit: int | None, window_ms: int) -> None:
        def change(row: QueueRow, transaction: Transaction) -> None:
            if limit is not None:
                # A window that has begun ends as if this setting had begun it, if that is sooner.
                begins_ms = transaction.steady_ms
                if row.rate_window_ms is not None:
                    begins_ms = row.window_ends_ms - row.rate_window_ms
                row.window_ends_ms = min(row.window_ends_ms, begins_ms + window_ms)
            row.rate_limit = limit
            row.rate_window_ms = None if limit is None else window_ms

        await self._change(queue, change)

    async def hold(self, queue: str, *, duration_ms: int) -> None:
        def change(row: QueueRow, transaction: Transaction) -> None:
            row.held_from_ms = transaction.steady_ms
            row.held_until_ms = transaction.steady_ms + duration_ms

        await self._change(queue, change)

    async def _change(self, queue: str, change: Callable[[QueueRow, Transaction], None]) -> None:
        def transition(transaction: Transaction) -> None:
            change(transaction.queue(queue), transaction)
            transaction.readied = True

        await self._writer.run(transition)
