"""A disk that takes its time for each sync: nothing is lost, and the log does not grow for ever."""

from __future__ import annotations

import pytest
from tests.faults.support import FULL, Say, Stage
from tests.support.waiting import wait_until

from toril.backends.sqlite.checkpoints import MOST_PAGES

PAGE_BYTES = 4096
PROCESSES = 3
EACH = 12_000 if FULL else 2_000
"""Jobs of a process. As many pages and more go through the log as three times its limit."""


@pytest.mark.parametrize("sync_s", [0.005, 0.03])
@pytest.mark.timeout(600 if FULL else 300)
async def test_log_stays_bounded_while_several_processes_write_on_a_slow_disk(
    stage: Stage, say: Say, sync_s: float
) -> None:
    """Each process moved the log beside its own writer only: it grew until all of them rested."""
    log = stage.store.with_name(f"{stage.store.name}-wal")
    largest_bytes = 0
    each = EACH if sync_s < 0.01 else EACH // 2
    programs = [
        stage.start("slow_disk", str(stage.store), str(sync_s), f"queue-{number}", str(each))
        for number in range(PROCESSES)
    ]

    def ended() -> bool:
        nonlocal largest_bytes
        if log.exists():
            largest_bytes = max(largest_bytes, log.stat().st_size)
        return not any(program.is_alive for program in programs)

    await wait_until(ended, deadline_s=600 if FULL else 200, what="all jobs to be finished")

    assert [program.lines for program in programs] == [["done"]] * PROCESSES, [
        program.errors for program in programs
    ]
    say(f"{PROCESSES} x {each} jobs, syncs of {sync_s} s: the log took {largest_bytes >> 20} MiB")
    assert largest_bytes <= MOST_PAGES * PAGE_BYTES * 5 // 4
    assert await stage.figure("completed") == PROCESSES * each
    await stage.check_store()
