"""Adds jobs and finishes them without a rest, on a disk whose syncs are slow.

Arguments: the file, how long a sync takes in seconds, the queue, how many jobs. Prints `done`.
"""

from __future__ import annotations

import asyncio
import sys
import time

import apsw
from tests.support.contract import HandWorker, add, job, outcome

from toril.backends import open_backend

TOGETHER = 40
SYNC_S = 0.0
PAYLOAD = '"' + "x" * 4_000 + '"'


class SlowFile(apsw.VFSFile):
    """A file of the default file system, on a slow disk."""

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        time.sleep(SYNC_S)
        super().xSync(flags)


class SlowDisk(apsw.VFS):
    """The default file system, on a slow disk."""

    def __init__(self) -> None:
        self.below = apsw.vfs_names()[0]
        super().__init__("slow", self.below, makedefault=True)

    def xOpen(  # noqa: N802 - SQLite's name
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> SlowFile:
        return SlowFile(self.below, name, flags)


async def main(path: str, queue: str, many: int) -> None:
    """Add and finish so many jobs, at once."""
    backend = open_backend(path)
    worker = HandWorker(backend, queue)

    async def produce() -> None:
        for _ in range(0, many, TOGETHER):
            await add(backend, *(job(queue, data=PAYLOAD) for _ in range(TOGETHER)))

    async def work() -> None:
        done = 0
        while done < many:
            claimed = await worker.claim(queue, limit=TOGETHER)
            await worker.ask(outcomes=[outcome(one, "completed") for one in claimed])
            done += len(claimed)

    await asyncio.gather(produce(), work())
    await backend.lifecycle.close()
    print("done", flush=True)


if __name__ == "__main__":
    SYNC_S = float(sys.argv[2])
    DISK = SlowDisk()
    asyncio.run(main(sys.argv[1], sys.argv[3], int(sys.argv[4])))
