"""Operations on many jobs: what they are to do, who drives them, and their steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from toril.backends.sqlite.acting import act_on, put_back
from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.engine.contract.operations import (
    Act,
    OperationRecord,
    OperationState,
    Restored,
    Step,
)
from toril.engine.job import WholeJob

KEPT_MS = 7 * 86_400_000
"""For how long an operation is known."""
EXPIRED = 1_000
"""Removed jobs that are dropped at once, when their time is over."""


class SqliteOperationStore:
    """The role `OperationStore`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def add(self, operation_id: str, body: str) -> None:
        def transition(transaction: Transaction) -> None:
            transaction.run("operations_forget", transaction.now_ms - KEPT_MS)
            transaction.run("operation_steps_forget")
            _expire(transaction)
            transaction.run("operation_add", operation_id, body, transaction.now_ms)

        await self._writer.run(transition)

    async def get(self, operation_id: str) -> OperationRecord | None:
        def question(view: View) -> OperationRecord | None:
            rows = view.run("operation_get", self._clock.now_ms(), operation_id)
            return _record(rows[0]) if rows else None

        return await self._reader.ask(question)

    async def newest(self, *, limit: int) -> list[OperationRecord]:
        def question(view: View) -> list[OperationRecord]:
            return [_record(row) for row in view.run("operation_list", self._clock.now_ms(), limit)]

        return await self._reader.ask(question)

    async def take(
        self, operation_id: str, holder: str, *, lease_ms: int
    ) -> OperationRecord | None:
        def transition(transaction: Transaction) -> OperationRecord | None:
            now_ms = transaction.now_ms
            _expire(transaction)
            if not transaction.run(
                "operation_take", holder, now_ms + lease_ms, operation_id, now_ms
            ):
                return None
            return _record(transaction.run("operation_get", now_ms, operation_id)[0])

        return await self._writer.run(transition)

    async def end(self, operation_id: str, holder: str, state: OperationState, note: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            return bool(
                transaction.run(
                    "operation_end", state, note, transaction.now_ms, operation_id, holder
                )
            )

        return await self._writer.run(transition)

    async def want_cancelled(self, operation_id: str) -> bool:
        def transition(transaction: Transaction) -> bool:
            return bool(transaction.run("operation_cancel", operation_id))

        return await self._writer.run(transition)

    async def mark_undone(self, operation_id: str, note: str) -> None:
        def transition(transaction: Transaction) -> None:
            transaction.run("operation_undone", note, operation_id)

        await self._writer.run(transition)

    async def steps(self, operation_id: str, queues: Sequence[str]) -> list[Step]:
        def question(view: View) -> list[Step]:
            return [_step(view, operation_id, queue) for queue in queues]

        return await self._reader.ask(question)

    async def step(
        self,
        operation_id: str,
        queue: str,
        *,
        after: int,
        place: str,
        looked_at: int,
        act: Act | None,
    ) -> Step | None:
        def transition(transaction: Transaction) -> Step | None:
            before = _step(transaction, operation_id, queue)
            if before.version != after:
                return None
            done = refused = 0
            row = transaction.find_queue(queue)
            if act is not None:
                if row is not None:
                    done = act_on(transaction, row, act, operation_id, self._clock)
                refused = len(act.ids) - done
            now = Step(
                version=after + 1,
                place=place,
                done=before.done + done,
                refused=before.refused + refused,
                looked_at=before.looked_at + looked_at,
            )
            transaction.run("operation_step_set", operation_id, queue, now.version, now.place,
                            now.done, now.refused, now.looked_at)  # fmt: skip
            return now

        return await self._writer.run(transition)

    async def restore(self, operation_id: str, queue: str, *, limit: int) -> Restored:
        def transition(transaction: Transaction) -> Restored:
            now_ms = transaction.now_ms
            rows = transaction.run("removed_find", operation_id, queue, now_ms, limit)
            if not rows:
                return Restored(0, 0, False)
            jobs = [msgspec.json.decode(body, type=WholeJob) for _, body in rows]
            back = put_back(transaction, transaction.queue(queue), jobs)
            ids = msgspec.json.encode([number for number, _ in rows]).decode()
            transaction.run("removed_forget", ids)
            return Restored(sum(back), len(back) - sum(back), len(rows) == limit)

        return await self._writer.run(transition)


def _expire(transaction: Transaction) -> None:
    transaction.run("removed_expire", transaction.now_ms, EXPIRED)


def _step(view: View, operation_id: str, queue: str) -> Step:
    rows = view.run("operation_step_get", operation_id, queue)
    if not rows:
        return Step()
    version, place, done, refused, looked_at = rows[0]
    return Step(version=version, place=place, done=done, refused=refused, looked_at=looked_at)


def _record(row: tuple[Any, ...]) -> OperationRecord:
    operation_id, body, created_ms, state, wanted, note, ended_ms, driven = row
    return OperationRecord(
        id=operation_id,
        body=body,
        created_ms=created_ms,
        state=state,
        wanted=wanted,
        note=note,
        ended_ms=ended_ms,
        driven=bool(driven),
    )
