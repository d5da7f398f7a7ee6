"""A task whose process crashes fails alone, and its reason says what happened."""

from __future__ import annotations

import pytest
from tests.faults.support import START_S, Stage

from toril import JobFailedError

REASONS = {
    "crash_natively": "SIGSEGV",
    "kill_itself": "SIGKILL",
    "leave": "exit code 3",
    "want_too_much_memory": "MemoryError",
}
"""What the failure of each task has to name."""


async def test_crashing_process_fails_alone_and_says_why(stage: Stage) -> None:
    worker = stage.worker(
        queues=["crashing"], concurrency=7, processes={"max_memory_bytes": 1 << 30}
    )
    neighbours = [
        await stage.add("crashing", "work_beside_crashes", duration_s=4.0) for _ in range(3)
    ]
    await stage.until_active(3)

    crashing = {name: await stage.add("crashing", name) for name in REASONS}
    for name, job in crashing.items():
        with pytest.raises(JobFailedError, match=REASONS[name]):
            await job.result(timeout_s=START_S)

    pids = {await job.result(timeout_s=START_S) for job in neighbours}
    assert len(pids) == 3
    for job in neighbours:
        assert (await job.info()).attempts_started == 1
    assert worker.is_alive
    after = await stage.add("crashing", "work_beside_crashes", duration_s=0.0)
    await after.result(timeout_s=START_S)
    await stage.check_store()
