"""Where failures leave letters, and how a letter's job comes back."""

from __future__ import annotations

import msgspec

from toril.backends.sqlite.adding import ready_state
from toril.backends.sqlite.lookup import Found, find
from toril.backends.sqlite.moving import adopt_jobs
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.engine.contract.dead_letters import DeadLetterRule, Redrive, Redriven
from toril.engine.events import EventName
from toril.engine.states import State


class SqliteDeadLetters:
    """The role `DeadLetters`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def set_rule(self, queue: str, rule: DeadLetterRule | None) -> None:
        def transition(transaction: Transaction) -> None:
            row = transaction.queue(queue)
            if rule is None:
                transaction.run("dead_letter_forget", row.id)
                transaction.run("unlettered_drop", row.id, 2**62)
            else:
                transaction.run("dead_letter_set", row.id, rule.queue, rule.keep_ms)

        await self._writer.run(transition)

    async def rule(self, queue: str) -> DeadLetterRule | None:
        def question(view: View) -> DeadLetterRule | None:
            rows = view.run("dead_letter_get", queue)
            return DeadLetterRule(*rows[0]) if rows else None

        return await self._reader.ask(question)

    async def unlettered(self, queue: str, *, limit: int) -> tuple[list[str], str]:
        # Only our workers use a file, and a failure of theirs carries its letter: what is left is
        # what the store itself has failed.
        rows = await self._reader.ask(lambda view: view.run("unlettered_read", queue, limit))
        ids = [job_id for _, job_id in rows if job_id is not None]
        return ids, str(rows[-1][0]) if rows else ""

    async def looked(self, queue: str, until: str) -> None:
        def transition(transaction: Transaction) -> None:
            row = transaction.find_queue(queue)
            if row is not None:
                transaction.run("unlettered_drop", row.id, int(until))

        await self._writer.run(transition)

    async def redrive(self, wanted: Redrive) -> tuple[Redriven, State | None]:
        def transition(transaction: Transaction) -> tuple[Redriven, State | None]:
            letter = _find(transaction, wanted.queue, wanted.letter_id)
            if letter is None:
                return "missing", None
            data: str = transaction.value("job_data_get", letter.number)
            if data != wanted.expected:
                return "changed", None
            transaction.run("job_data", wanted.marked, letter.number)
            return _bring_back(transaction, wanted)

        return await self._writer.run(transition)


def _bring_back(transaction: Transaction, wanted: Redrive) -> tuple[Redriven, State | None]:
    job = wanted.job
    queue, job_id = job.record.queue, job.record.id
    found = _find(transaction, queue, job_id)
    if found is None:
        adopt_jobs(transaction, queue, [job])
        transaction.queue(queue).say(EventName.WAITING, job_id)
        return "back", None
    if found.state is not State.FAILED:
        return "was_back", found.state
    if wanted.data is not None:
        transaction.run("job_data", wanted.data, found.number)
    place = (found.number, transaction.tickets(1))
    transaction.run("revive", 1, msgspec.json.encode([place]).decode())
    row = transaction.queue(queue)
    row.moved(found.state, ready_state(found.priority))
    row.say(EventName.WAITING, job_id, {"prev": found.state.value})
    transaction.readied = True
    return "back", found.state


def _find(transaction: Transaction, queue: str, job_id: str) -> Found | None:
    row = transaction.find_queue(queue)
    return None if row is None else find(transaction, row.id, job_id)
