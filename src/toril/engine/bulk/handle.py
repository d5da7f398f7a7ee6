"""One operation on many jobs: how far it is; drive, end or undo it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from toril.core.errors import InvalidOptionError, OperationNotFoundError
from toril.engine.bulk.driver import Driver, Progress
from toril.engine.bulk.info import OperationInfo, OperationUndone, operation_info, wish_of
from toril.engine.bulk.wish import Wish
from toril.engine.contract.operations import OperationRecord
from toril.engine.producer import Producer

LOOK_S = 0.5
"""Between two looks at an operation that another process drives."""
RESTORE_CHUNK = 200
"""Jobs that one call puts back."""


class BulkOperation:
    """An operation on many jobs. Each call asks the store."""

    def __init__(self, producer: Producer, driver: Driver, operation_id: str) -> None:
        self.id = operation_id
        self._store = producer.backend
        self._told = producer.operations
        self._driver = driver

    async def info(self) -> OperationInfo:
        """Return how far it is.

        Raises:
            OperationNotFoundError: There is no such operation, or it was forgotten: after a week.
        """
        record, wish = await self._record()
        steps = await self._store().operations.steps(self.id, wish.queues)
        return operation_info(record, wish, steps)

    async def run(self, *, progress: Progress | None = None) -> OperationInfo:
        """Drive it to its end here, or wait while another process does; return how it has ended.

        Given up half-way, it stays as it is: workers of the store, or another call, go on with it.

        Parameters:
            progress: Told how far it is, after each step that is made here.

        Raises:
            OperationNotFoundError: There is no such operation.
            BackendError: The store does not answer.
        """
        while True:
            await self._driver.drive(self.id, progress=progress)
            info = await self.info()
            if info.state != "running":
                return info
            await asyncio.sleep(LOOK_S)

    async def cancel(self) -> bool:
        """Have it end where it stands; return whether it was still running.

        Whoever drives it hears of that within a second.

        Raises:
            OperationNotFoundError: There is no such operation.
        """
        await self._record()
        async with self._told.doing("bulk.cancel", operation=self.id) as doing:
            doing.changed = await self._store().operations.want_cancelled(self.id)
        return doing.changed

    async def undo(self, *, progress: Callable[[int], None] | None = None) -> OperationUndone:
        """Put the jobs back that it has removed: each under its id, in its state, whole.

        Jobs in line go to the end of the line. A job whose id another one has by now stays gone.

        Parameters:
            progress: Told how many are back so far.

        Raises:
            OperationNotFoundError: There is no such operation.
            InvalidOptionError: It still runs, it has removed nothing, or its jobs were not kept.
        """
        record, wish = await self._record()
        if wish.action != "remove" or wish.keep_ms == 0:
            raise InvalidOptionError(
                f"operation {self.id!r} cannot be undone: only removals whose jobs are kept can"
            )
        if record.state == "running":
            raise InvalidOptionError(
                f"operation {self.id!r} still runs: cancel it first (toril operations cancel"
                f" {self.id})"
            )
        operations = self._store().operations
        restored = taken = 0
        async with self._told.doing("bulk.undo", operation=self.id) as doing:
            for queue in wish.queues:
                more = True
                while more:
                    done = await operations.restore(self.id, queue, limit=RESTORE_CHUNK)
                    restored += done.restored
                    taken += done.taken
                    more = done.more
                    doing.count = restored
                    if progress is not None:
                        progress(restored)
                    await asyncio.sleep(0)
            doing.changed = restored > 0
            if restored:
                await operations.mark_undone(self.id, f"{restored:,} put back, {taken:,} ids taken")
        return OperationUndone(restored=restored, taken=taken)

    async def _record(self) -> tuple[OperationRecord, Wish]:
        record = await self._store().operations.get(self.id)
        if record is None:
            raise OperationNotFoundError(
                f"there is no operation {self.id!r}; it may have been forgotten, which is after a"
                " week: see toril operations list"
            )
        return record, wish_of(record)
