"""Drives operations on many jobs in the server's process, until it stops.

An operation is stored before it begins, so that workers, or the next start, go on with it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from toril.app import App
from toril.core.errors import TorilError
from toril.core.loggers import logger
from toril.engine.bulk.handle import BulkOperation

log = logger("toril.web")


class Operations:
    """What a server drives."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._driven: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None

    def keep(self) -> None:
        """Drive from now on what nobody drives, as after a restart."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._app.bulk.keep())

    def drive(self, operation: BulkOperation) -> None:
        """Drive an operation that was just begun."""
        self.keep()
        task = asyncio.create_task(_drive(operation))
        self._driven.add(task)
        task.add_done_callback(self._driven.discard)

    async def close(self) -> None:
        """Stop driving. What is not done stays as it is."""
        tasks = [*self._driven, *([] if self._keeper is None else [self._keeper])]
        self._keeper = None
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _drive(operation: BulkOperation) -> None:
    try:
        await operation.run()
    except TorilError as error:  # whoever keeps operations goes on with it
        log.warning("operation %s is left to others: %s", operation.id, error)
