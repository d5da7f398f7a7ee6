"""What reaches the disk before a call is answered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from tests.backends.sqlite.conftest import Opener
from tests.support.contract import HandWorker, Q, add, job, speech


class Syncs:
    """How often the log was forced to the disk."""

    def __init__(self) -> None:
        self.log = 0


@pytest.fixture
def syncs() -> Iterator[Syncs]:
    """Count SQLite's own requests, below it and above the operating system."""
    found = Syncs()
    base = apsw.vfs_names()[0]

    class CountingFile(apsw.VFSFile):
        def __init__(self, name: Any, flags: Any) -> None:
            super().__init__(base, name, flags)
            self.is_log = bool(flags[0] & apsw.SQLITE_OPEN_WAL)

        def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
            found.log += self.is_log
            super().xSync(flags)

    class CountingSystem(apsw.VFS):
        def __init__(self) -> None:
            super().__init__("counting", base, makedefault=True)

        def xOpen(self, name: Any, flags: Any) -> CountingFile:  # noqa: N802 - SQLite's name
            return CountingFile(name, flags)

    system = CountingSystem()
    yield found
    system.unregister()


async def test_full_forces_adds_and_outcomes_to_the_disk_before_it_answers(
    syncs: Syncs, opener: Opener
) -> None:
    backend = opener(durability="full")
    worker = HandWorker(backend)

    async def costs(call: Any) -> int:
        before = syncs.log
        await call
        return syncs.log - before

    assert await costs(add(backend)) == 1
    assert await costs(add(backend, job(), job())) == 1
    assert await costs(backend.limits.pause(Q)) == 1
    assert await costs(backend.limits.resume(Q)) == 1
    claimed = await worker.claim(limit=3)
    assert await costs(worker.end(claimed[0], "completed")) == 1
    assert await costs(worker.end(claimed[1], "retried")) == 1
    assert await costs(backend.jobs.remove(Q, claimed[0].id)) == 1


async def test_full_does_not_wait_for_what_is_redone_anyway(syncs: Syncs, opener: Opener) -> None:
    backend = opener(durability="full")
    worker = HandWorker(backend)
    await add(backend, job(), job())
    before = syncs.log

    (claimed,) = await worker.claim()
    worker.renew(claimed)
    await backend.dispatch.speak([speech(claimed, progress="1", line="x")])
    await backend.counts.queues()

    assert syncs.log == before


async def test_an_add_makes_the_claims_before_it_durable_too(syncs: Syncs, opener: Opener) -> None:
    backend = opener(durability="full")
    await add(backend, job())
    await HandWorker(backend).claim()

    before = syncs.log
    await add(backend)

    assert syncs.log == before + 1


async def test_normal_waits_for_no_disk(syncs: Syncs, opener: Opener) -> None:
    backend = opener(durability="normal")
    before = syncs.log
    await add(backend)
    (claimed,) = await HandWorker(backend).claim()
    await HandWorker(backend).end(claimed, "completed")

    assert syncs.log == before


async def test_what_was_acknowledged_is_in_the_files_as_they_are(
    opener: Opener, path: Path, tmp_path: Path
) -> None:
    """Copies of the files, taken while the store is open, hold every acknowledged job."""
    backend = opener()
    ids = [(await add(backend))[0] for _ in range(20)]

    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        part = path.with_name(path.name + suffix)
        (copy / part.name).write_bytes(part.read_bytes())

    later = opener(copy / path.name)
    for job_id in ids:
        assert await later.jobs.get(Q, job_id) is not None
