"""A task that never returns: its time limit frees the slot, wherever it runs."""

from __future__ import annotations

import signal
import time

import pytest
from tests.faults.programs.tasks import TIMEOUT_S
from tests.faults.support import Say, Stage

from toril import JobFailedError

FREE_WITHIN_S = {
    "never_return_on_loop": 5.0,
    "never_return_in_thread": 8.0,
    "never_return_in_process": 8.0,
    "sit_in_a_c_call_in_thread": 10.0,
    "swallow_cancellation_on_loop": 20.0,
}
"""How soon after its start the slot must be free again on a busy machine, in seconds."""


async def test_endless_task_is_stopped_by_its_time_limit_and_the_next_job_runs(
    stage: Stage, say: Say
) -> None:
    worker = stage.worker(queues=["endless"], concurrency=1, shutdown=1.0)
    await worker.ready()
    took: list[str] = []

    for name, limit_s in FREE_WITHIN_S.items():
        began_s = time.monotonic()
        endless = await stage.add("endless", name)
        following = await stage.add("endless", "return_at_once")

        assert await following.result(timeout_s=limit_s) == "done"
        took.append(f"{name} {time.monotonic() - began_s:.1f} s")
        with pytest.raises(JobFailedError, match=f"timeout_s={TIMEOUT_S}"):
            await endless.result(timeout_s=5)

    worker.send(signal.SIGTERM)
    assert await worker.ended(deadline_s=20) == 0, worker.errors
    await stage.check_store()
    say(f"slot free after: {', '.join(took)}")
