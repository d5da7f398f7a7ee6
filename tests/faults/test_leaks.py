"""What a worker takes it gives back: threads, descriptors, processes, memory."""

from __future__ import annotations

import json

import psutil
import pytest
from tests.faults.support import FULL, Say, Stage

WORKERS = 50 if FULL else 6
JOBS = 1_000_000 if FULL else 50_000
CHUNK = 2_000
BACKLOG = 10_000
MOST_GROWTH_BYTES = 32 << 20


async def test_stopped_workers_leave_no_thread_descriptor_or_process(
    stage: Stage, say: Say
) -> None:
    program = stage.start("restarts", str(WORKERS))

    assert await program.ended(deadline_s=250) == 0, program.errors

    left = [json.loads(line) for line in program.lines]
    assert len(left) == WORKERS
    first, last = left[0], left[-1]
    # The default executor of the event loop belongs to the process; it grows to its own limit.
    ours = [name for name in last["threads"] if name.startswith("toril")]
    assert ours == []
    assert last["children"] == 0
    assert last["fds"] <= first["fds"] + 2
    say(
        f"{WORKERS} workers one after another: descriptors {first['fds']} -> {last['fds']},"
        f" threads {len(first['threads'])} -> {len(last['threads'])}, children 0"
    )


@pytest.mark.timeout(1200)
async def test_memory_of_a_worker_stays_flat_over_many_jobs(stage: Stage, say: Say) -> None:
    stage.app.durability = "normal"
    stage.environment["TORIL_DURABILITY"] = "normal"
    worker = stage.worker(queues=["nothing"], concurrency=100)
    await worker.ready()
    process = psutil.Process(worker.process.pid)
    queue = stage.app.queue("nothing")
    sizes: list[int] = []

    for added in range(CHUNK, JOBS + 1, CHUNK):
        await queue.add_many([("do_nothing", {})] * CHUNK)
        await stage.until_done(added - BACKLOG, deadline_s=60)
        sizes.append(process.memory_info().rss)
    await stage.until_done(JOBS, deadline_s=60)
    sizes.append(process.memory_info().rss)

    # After 25,000 jobs all is imported, the kept jobs are at their limit, and so is the page cache.
    warm = sizes[25_000 // CHUNK]
    growth_bytes = sizes[-1] - warm
    say(
        f"{JOBS} jobs: resident {sizes[0] / 1e6:.0f} MB at the start, {warm / 1e6:.0f} MB warm,"
        f" {sizes[-1] / 1e6:.0f} MB at the end"
    )
    assert growth_bytes < MOST_GROWTH_BYTES
    assert worker.is_alive
    await stage.check_store()
