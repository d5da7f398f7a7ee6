"""The audit log, one row an entry."""

from __future__ import annotations

from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.audit import AuditLine


class SqliteAudit:
    """The role `Audit`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def append(self, text: str, *, keep: int) -> None:
        def transition(transaction: Transaction) -> None:
            position = transaction.value("audit_add", transaction.now_ms, text)
            transaction.run("audit_trim", position - keep)

        await self._writer.run(transition)

    async def page(self, *, before: int | None, limit: int) -> list[AuditLine]:
        def question(view: View) -> list[AuditLine]:
            return [AuditLine(*row) for row in view.run("audit_page", before, limit)]

        return await self._reader.ask(question)
