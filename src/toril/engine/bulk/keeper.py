"""Has a process drive the operations of its store that no other drives."""

from __future__ import annotations

import asyncio
import random

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.engine.bulk.driver import Driver
from toril.engine.contract.operations import OperationStore

log = logger("toril.operator")

LOOK_S = 5.0
"""Between two looks for operations."""
LOOKED_AT = 50
"""The newest operations, among which those are that run."""


class OperationKeeper:
    """The loop of one process that drives what nobody drives."""

    def __init__(self, operations: OperationStore, driver: Driver) -> None:
        self._operations = operations
        self._driver = driver

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            # Spread, so that workers that started together do not look together.
            await asyncio.sleep(LOOK_S * random.uniform(0.75, 1.25))  # noqa: S311 - spread only
            try:
                await self.look()
            except BackendError as error:
                log.warning("driving operations failed, trying again: %s", error)
            except Exception:  # a fault of ours: the worker goes on without operations
                log.exception("driving operations failed, trying again")

    async def look(self) -> int:
        """Drive what nobody drives; return how many were driven to their end."""
        driven = 0
        for record in await self._operations.newest(limit=LOOKED_AT):
            if record.state == "running" and not record.driven:
                driven += await self._driver.drive(record.id)
        return driven
