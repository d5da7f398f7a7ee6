"""A worker's entry on the store's register: announced, announced again when lost, taken off."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import Protocol

from toril.core.errors import BackendError
from toril.core.loggers import logger
from toril.core.process_memory import own_resident_bytes
from toril.engine.contract import Backend
from toril.engine.contract.workers import ANY_NAME, WorkerRecord
from toril.engine.worker_options import WorkerOptions
from toril.version import VERSION

log = logger("toril.worker")

MAX_NAMES_CHARS = 20_000
"""Of the names of tasks on a worker's entry: whoever lists workers reads all of them."""


class Named(Protocol):
    """Knows the names of jobs. The register of tasks is one."""

    def names(self, queue: str) -> list[str]:
        """Return the names of a queue's jobs that can be run; `ANY_NAME` stands for all."""
        ...


class Registration:
    """The entry of one worker."""

    def __init__(
        self, backend: Backend, worker_id: str, options: WorkerOptions, handlers: Named
    ) -> None:
        self._backend = backend
        self._worker_id = worker_id
        self.options = options
        """May be replaced: the next announcement tells the new ones."""
        self._handlers = handlers
        self._announcing: asyncio.Task[None] | None = None

    async def announce(self) -> None:
        """Put the worker on the register.

        Raises:
            BackendError: The store does not answer.
        """
        await self._backend.workers.register(self._record())

    def announce_again(self) -> None:
        """Put the worker back on the register: it was silent for too long, and is alive."""
        log.warning(
            "worker %s was taken for dead, and is not: announcing it again", self._worker_id
        )
        self._announcing = asyncio.create_task(self._try_to_announce())

    def announce_later(self) -> None:
        """Put the worker on the register in the background; the store may be away."""
        self._announcing = asyncio.create_task(self._try_to_announce())

    async def settle(self) -> None:
        """Wait until no announcement is under way: it would come after the end."""
        if self._announcing is not None:
            await asyncio.wait([self._announcing])

    async def end(self, *, may_hold_jobs: bool) -> None:
        """Take the worker off the register.

        Parameters:
            may_hold_jobs: The store could not take all outcomes, or has not answered a claim. The
                worker is declared dead: others take its jobs back without awaiting their leases.
        """
        workers = self._backend.workers
        with suppress(BackendError):  # it may be why we leave; the register forgets us by itself
            if may_hold_jobs:
                await workers.declare_dead(self._worker_id)
            else:
                await workers.deregister(self._worker_id)

    async def _try_to_announce(self) -> None:
        with suppress(BackendError):  # the next heartbeat will notice again
            await self.announce()

    def _record(self) -> WorkerRecord:
        return WorkerRecord(
            id=self._worker_id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(self.options.queues),
            concurrency=self.options.concurrency,
            running=0,
            started_ms=self._backend.clock.now_ms(),
            beat_age_ms=0,
            quiet=False,
            resident_bytes=own_resident_bytes(),
            version=VERSION,
            tasks=bounded({queue: self._handlers.names(queue) for queue in self.options.queues}),
        )


def bounded(tasks: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the names that a worker can run, `MAX_NAMES_CHARS` of them at most.

    Whatever is left out of a queue's names is told by `ANY_NAME`.
    """
    left = MAX_NAMES_CHARS
    kept: dict[str, list[str]] = {}
    for queue, names in tasks.items():
        shown = kept[queue] = []
        for name in names:
            left -= len(name)
            if left < 0 and name != ANY_NAME:
                shown.append(ANY_NAME)
                break
            shown.append(name)
    return kept
