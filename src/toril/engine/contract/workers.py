"""The register of workers: who is alive. A worker gets a new random id at each start."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import msgspec

LOST_KEPT = 100
"""Workers that were found dead that a store remembers: the newest."""
ANY_NAME = "*"
"""In a worker's list of names: it runs jobs of other names, too."""


Claiming = Literal["open", "paused", "quiet"]
"""Whether a worker claims jobs. `paused`: not until it is told to resume. `quiet`: not any more."""


About = Literal["claiming", "size"]
"""What a wish is about: whether a worker claims jobs, or how many it runs at once."""


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
    """Time since its last heartbeat."""
    quiet: bool
    """It claims no more jobs: it is about to stop."""
    resident_bytes: int
    version: str
    paused: bool = False
    """It claims no jobs until it is resumed."""
    tasks: dict[str, list[str]] | None = None
    """For each queue the names of the jobs that it can run; `ANY_NAME` among them stands for more
    than these. None: not known, as of a worker of an earlier version."""


class LostWorker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that fell silent without having signed off, and was taken off the register."""

    id: str
    host: str
    pid: int
    queues: list[str]
    seen_ms: int
    """About when it was last heard of, epoch milliseconds."""


class Heard(NamedTuple):
    """What a worker hears with its heartbeat."""

    known: bool
    """Whether it is on the register. False: it was silent for too long and was taken off; it has to
    register again."""
    wish: str | None = None
    """The newest of those that were left for it. None: none was."""
    size: str | None = None
    """The newest of those about its size."""


def claiming_of(worker: WorkerRecord) -> Claiming:
    """Return whether a worker claims jobs."""
    return "quiet" if worker.quiet else "paused" if worker.paused else "open"


class Workers(Protocol):
    """The register of workers."""

    async def register(self, worker: WorkerRecord) -> None:
        """Put a worker on the register."""
        ...

    def beat(
        self,
        worker_id: str,
        *,
        running: int,
        concurrency: int,
        claiming: Claiming,
        resident_bytes: int,
    ) -> Heard:
        """Send a heartbeat. Blocks; made by the lease thread, as `Dispatch.renew` is.

        Parameters:
            worker_id: Whose.
            running: Jobs that it runs now.
            concurrency: Jobs that it runs at once by now.
            claiming: Becomes `WorkerRecord.quiet` and `paused`.
            resident_bytes: Its memory.
        """
        ...

    async def tell(self, worker_id: str, wish: str, *, about: About = "claiming") -> bool:
        """Leave a wish for a worker, in place of the one before; return whether it is there.

        It stays: each heartbeat of the worker hears it, until there is another one about the same.
        """
        ...

    async def deregister(self, worker_id: str) -> None:
        """Take a worker off the register. It must hold no jobs."""
        ...

    async def lost(self) -> list[LostWorker]:
        """Return the workers that were taken off the register as dead, newest first.

        Each once, `LOST_KEPT` at most. One that was alive after all is on the register again, and
        stays here.
        """
        ...

    async def list(self) -> list[WorkerRecord]:
        """Return the workers on the register, oldest first."""
        ...

    async def declare_dead(self, worker_id: str) -> None:
        """Mark a worker as dead: the next `recover` recovers its jobs without waiting."""
        ...

    async def foreign(self, queue: str) -> int | None:
        """Return how many workers of BullMQ serve a queue. They are on no register.

        Cost: O(connections to the server). None: nobody can say, as the user may not list them.
        """
        ...
