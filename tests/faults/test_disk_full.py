"""A full disk: producers are told, nothing acknowledged is lost, and work goes on afterwards."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import Say, Stage, open_stage
from tests.support.waiting import wait_until

MB = 1_000_000
DISK_BYTES, BALLAST_BYTES = 256 * MB, 250 * MB
JOBS = 1_000


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Stage]:
    """A stage whose store is on a file system of 256 MB. It has to be mounted."""
    if os.geteuid() != 0:
        pytest.skip("a file system can be mounted by root only")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", disk], check=True)
    stage = open_stage(tmp_path, disk / "jobs.db")
    try:
        yield stage
    finally:
        await stage.close()
        subprocess.run(["umount", disk], check=True)


async def test_full_disk_loses_nothing_and_work_goes_on_once_there_is_room(
    small_disk: Stage, say: Say
) -> None:
    stage = small_disk
    ballast = stage.store.parent / "ballast"
    ballast.write_bytes(bytes(BALLAST_BYTES))
    worker = stage.worker(queues=["loop"], concurrency=10)
    await worker.ready()
    producer = stage.producer(JOBS, together=5, queues=["loop"], padding_bytes=8_000)

    def refusals() -> list[str]:
        return [line for line in producer.lines if line.startswith("!")]

    await wait_until(lambda: len(refusals()) >= 20, deadline_s=60, what="the disk to be full")
    acknowledged = len(producer.lines) - len(refusals())
    (refusal,) = set(refusals())
    assert refusal.startswith(f"! StoreFullError: {stage.store}: no room is left")
    assert worker.is_alive
    assert acknowledged < JOBS

    ballast.unlink()
    assert await producer.ended(deadline_s=60) == 0, producer.errors
    keys = {line for line in producer.lines if not line.startswith("!")}
    assert len(keys) == JOBS
    await stage.until_done(JOBS, deadline_s=60)

    await stage.check_each_done_once(keys, ["loop"])
    assert worker.is_alive
    twice = sum(times > 1 for times in stage.marks.values())
    say(
        f"full after {acknowledged} of {JOBS} jobs, {len(refusals())} refusals; room made: all"
        f" done, lost 0, side effects twice {twice}"
    )
