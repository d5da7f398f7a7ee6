"""What is kept for alerts: rows of text, and who holds the watch."""

from __future__ import annotations

from collections.abc import Sequence

from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.contract.alerts import ALERT_ROW_KINDS, AlertRow, AlertRowKind


class SqliteAlertStore:
    """The role `AlertStore`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def hold(self, holder: str, *, lease_ms: int) -> bool:
        if await self._reader.ask(
            lambda view: _is_held(view, holder, self._clock.now_ms()) is False
        ):
            return False  # without a lock on the file: every process asks every few seconds

        def transition(transaction: Transaction) -> bool:
            now_ms = transaction.now_ms
            return bool(transaction.run("alert_hold", holder, now_ms + lease_ms, now_ms))

        return await self._writer.run(transition)

    async def release(self, holder: str) -> None:
        await self._writer.run(lambda transaction: transaction.run("alert_release", holder))

    async def rows(self, kinds: Sequence[AlertRowKind]) -> list[AlertRow]:
        def question(view: View) -> list[AlertRow]:
            return [
                AlertRow(kind, key, body)
                for kind in kinds
                for key, body in view.run("alert_rows", ALERT_ROW_KINDS.index(kind))
            ]

        return await self._reader.ask(question)

    async def change(
        self,
        put: Sequence[AlertRow] = (),
        drop: Sequence[AlertRow] = (),
        *,
        holder: str | None = None,
    ) -> bool:
        def transition(transaction: Transaction) -> bool:
            if holder is not None and not _is_held(transaction, holder, transaction.now_ms):
                return False
            for row in drop:
                transaction.run("alert_drop", ALERT_ROW_KINDS.index(row.kind), row.key)
            for row in put:
                transaction.run("alert_put", ALERT_ROW_KINDS.index(row.kind), row.key, row.body)
            return True

        return await self._writer.run(transition)


def _is_held(view: View, holder: str, now_ms: int) -> bool | None:
    """Return whether it is this holder that holds the watch. None: nobody does."""
    rows = view.run("alert_holder")
    if not rows or rows[0][1] <= now_ms:
        return None
    return bool(rows[0][0] == holder)
