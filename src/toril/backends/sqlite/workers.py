"""The register of workers: one row each."""

from __future__ import annotations

import msgspec

from toril.backends.sqlite.reader import Reader, View
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.writer import Writer
from toril.core.clock import Clock
from toril.core.reading import read_list
from toril.engine.contract.workers import (
    About,
    Claiming,
    Heard,
    LostWorker,
    WorkerRecord,
    claiming_of,
)

_CLAIMING: tuple[Claiming, ...] = ("open", "quiet", "paused")
"""What the column `quiet` says, by number."""


class SqliteWorkers:
    """The role `Workers`."""

    def __init__(self, writer: Writer, reader: Reader, clock: Clock) -> None:
        self._writer = writer
        self._reader = reader
        self._clock = clock

    async def register(self, worker: WorkerRecord) -> None:
        def transition(transaction: Transaction) -> None:
            transaction.run(
                "worker_add",
                worker.id,
                worker.host,
                worker.pid,
                msgspec.json.encode(worker.queues).decode(),
                worker.concurrency,
                worker.running,
                worker.started_ms,
                transaction.steady_ms,
                _CLAIMING.index(claiming_of(worker)),
                worker.resident_bytes,
                worker.version,
                None if worker.tasks is None else msgspec.json.encode(worker.tasks).decode(),
            )

        await self._writer.run(transition, durable=False)

    def beat(
        self,
        worker_id: str,
        *,
        running: int,
        concurrency: int,
        claiming: Claiming,
        resident_bytes: int,
    ) -> Heard:
        quiet = _CLAIMING.index(claiming)

        def transition(transaction: Transaction) -> Heard:
            rows = transaction.run(
                "worker_beat",
                transaction.steady_ms,
                running,
                concurrency,
                quiet,
                resident_bytes,
                worker_id,
            )
            return Heard(True, *rows[0]) if rows else Heard(False)

        return self._writer.run_blocking(transition, durable=False)

    async def tell(self, worker_id: str, wish: str, *, about: About = "claiming") -> bool:
        def transition(transaction: Transaction) -> bool:
            if about == "size":
                return transaction.changed("worker_resize", wish, worker_id) > 0
            return transaction.changed("worker_tell", wish, worker_id) > 0

        return await self._writer.run(transition)

    async def deregister(self, worker_id: str) -> None:
        await self._writer.run(
            lambda transaction: transaction.run("worker_remove", worker_id), durable=False
        )

    async def lost(self) -> list[LostWorker]:
        def question(view: View) -> list[LostWorker]:
            found: dict[str, LostWorker] = {}
            for worker_id, host, pid, queues, seen_ms in view.run("worker_lost_list"):
                names = [str(name) for name in read_list(queues)]
                one = LostWorker(id=worker_id, host=host, pid=pid, queues=names, seen_ms=seen_ms)
                found.setdefault(worker_id, one)
            return list(found.values())

        return await self._reader.ask(question)

    async def list(self) -> list[WorkerRecord]:
        def question(view: View) -> list[WorkerRecord]:
            return [
                WorkerRecord(
                    id=row[0],
                    host=row[1],
                    pid=row[2],
                    queues=[str(name) for name in read_list(row[3])],
                    concurrency=row[4],
                    running=row[5],
                    started_ms=row[6],
                    beat_age_ms=max(0, self._clock.steady_ms() - row[7]),
                    quiet=row[8] == _CLAIMING.index("quiet"),
                    paused=row[8] == _CLAIMING.index("paused"),
                    resident_bytes=row[9],
                    version=row[10],
                    tasks=_tasks(row[11]),
                )
                for row in view.run("worker_list")
            ]

        return await self._reader.ask(question)

    async def declare_dead(self, worker_id: str) -> None:
        await self._writer.run(lambda transaction: transaction.run("worker_dead", worker_id))

    async def foreign(self, queue: str) -> int | None:
        return 0  # BullMQ does not work on files


def _tasks(text: str | None) -> dict[str, list[str]] | None:
    """Return the names that a row holds. Nonsense, which none of ours has written, is unknown."""
    try:
        return None if text is None else msgspec.json.decode(text, type=dict[str, list[str]])
    except (ValueError, RecursionError):
        return None
