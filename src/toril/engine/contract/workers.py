"""Which workers are alive. Ids are random per start; a dead worker's jobs are given back."""

from __future__ import annotations

from typing import Protocol

import msgspec


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One running worker."""

    id: str
    host: str
    pid: int
    queues: list[str]
    concurrency: int
    running: int
    started_ms: int
    beat_age_ms: int
    """Since it was last heard of."""
    quiet: bool
    """It takes no new jobs: it is about to stop."""
    resident_bytes: int
    version: str


class Workers(Protocol):
    """The register of workers."""

    async def register(self, worker: WorkerRecord) -> None:
        """Announce a worker."""
        ...

    def beat(self, worker_id: str, *, running: int, quiet: bool, resident_bytes: int) -> bool:
        """Say that a worker lives. Blocking, from the lease thread, as `Dispatch.renew`.

        Returns:
            Whether it is on the register. One that was silent for too long was taken off.
        """
        ...

    async def deregister(self, worker_id: str) -> None:
        """Take a worker off the register; it holds no jobs any more."""
        ...

    async def list(self) -> list[WorkerRecord]:
        """Return the registered workers, oldest first."""
        ...

    async def declare_dead(self, worker_id: str) -> None:
        """Say that a worker is known to be dead: the next `recover` takes its jobs back."""
        ...
