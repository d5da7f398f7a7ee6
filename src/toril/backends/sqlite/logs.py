"""The log lines of jobs."""

from __future__ import annotations

from collections.abc import Sequence

from toril.backends.refusals import not_found
from toril.backends.sqlite.lookup import find_in, require_job
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer


class SqliteLogs:
    """The role `Logs`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def read(
        self, queue: str, job_id: str, *, start: int, limit: int, newest_first: bool = False
    ) -> tuple[list[str], int]:
        def question(view: View) -> tuple[list[str], int]:
            found = find_in(view, queue, job_id)
            if found is None:
                raise not_found(queue, job_id)
            back = "_back" if newest_first else ""
            lines = view.run(f"log_read{back}", found.number, limit, start)
            total = view.run("log_last", found.number)[0][1]
            return [line for (line,) in lines], total

        return await self._reader.ask(question)

    async def add(self, queue: str, job_id: str, line: str, *, keep: int) -> int:
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
