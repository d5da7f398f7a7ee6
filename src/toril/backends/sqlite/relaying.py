"""Jobs of outboxes, and the marks that tell which ones were added."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from toril.backends.sqlite.adding import add_jobs
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.relaying import MARK_DAYS, MarkedJob
from toril.engine.job import Added

KEPT_MS = MARK_DAYS * 86_400_000


class SqliteRelaying:
    """The role `Relaying`."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def add(
        self, queue: str, jobs: Sequence[MarkedJob], *, forget: Sequence[str]
    ) -> list[Added]:
        def transition(transaction: Transaction) -> list[Added]:
            row_id, now_ms = transaction.queue(queue).id, transaction.now_ms
            transaction.run("relayed_drop", row_id, _text(forget), now_ms - KEPT_MS)
            marks = _text([one.mark for one in jobs])
            known = set(msgspec.json.decode(transaction.value("relayed_known", row_id, marks)))
            new = [one.job for one in jobs if one.mark not in known]
            added = iter(add_jobs(transaction, new))
            answers = [
                Added(one.job.job_id or "", duplicate=True) if one.mark in known else next(added)
                for one in jobs
            ]
            transaction.run("relayed_add", row_id, now_ms, marks)
            return answers

        return await self._writer.run(transition)


def _text(marks: Sequence[str]) -> str:
    return msgspec.json.encode(marks).decode()
