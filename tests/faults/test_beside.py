"""A store whose file other libraries open and close in the same process, in the midst of work."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.faults.support import FULL, Say, Stage

JOBS = 5_000 if FULL else 800


@pytest.mark.parametrize("kind", ["reads", "copies"])
async def test_sqlite3_in_the_program_takes_no_lock_from_a_store_at_work(
    stage: Stage, say: Say, kind: str
) -> None:
    """Its close dropped the lock of a transaction: two processes wrote at once."""
    programs = [
        stage.start("beside", str(JOBS), kind),
        stage.start("beside", str(JOBS), kind),
        stage.start("beside", str(JOBS), "alone"),
    ]
    looker = stage.start("forking", "look", str(stage.store))
    for program in programs:
        assert await program.ended(deadline_s=150) == 0, program.errors[-3_000:]
    looker.kill()

    added = [line for program in programs for line in program.lines]
    twice = [key for key, many in Counter(added).items() if many > 1]
    assert not twice, f"ids that were given twice: {twice[:5]}"
    (queue,) = await stage.app.queues()
    assert queue.waiting == len(added) == len(programs) * (JOBS + 1)
    await stage.check_store()
    say(f"{len(added)} jobs of 3 processes, {kind} beside")
