"""Redis goes away and comes back, while real processes add and run jobs: the short form.

The long one: `make faults-fallback`.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.faults.fallback_rounds import FAULTS, Scene, play
from tests.faults.support import Say
from tests.support.waiting import wait_until


@pytest.mark.parametrize("kind", FAULTS)
async def test_no_job_is_lost_or_doubled(kind: str, tmp_path: Path, say: Say) -> None:
    seen = await play(kind, tmp_path, jobs=400, rate=100.0, chance=random.Random())

    say(seen.line())
    assert seen.acknowledged >= 400 * (kind != "producer-killed")
    assert (seen.lost, seen.doubled, seen.refused) == (0, 0, 0), seen.notes
    assert not [note for note in seen.notes if "left in the spool: 0" not in note], seen.notes


async def test_delayed_job_of_an_outage_outlives_all_processes(tmp_path: Path) -> None:
    """Redis is killed, a job is added for later, and the process is killed as well."""
    scene = Scene(tmp_path)
    try:
        producer = scene.start("produce", "7", "1", "100")  # key 7 is delayed by a second
        await wait_until(lambda: scene.has_added(producer), deadline_s=60)
        scene.server.kill()
        last = scene.start("produce", "57", "1", "100")
        await wait_until(lambda: scene.has_added(last), deadline_s=60)
        scene.kill(producer)
        scene.kill(last)
        scene.server.restart()
        scene.start("work")
        await wait_until(lambda: scene.runs().keys() >= {7, 57}, deadline_s=90)
        runs = scene.runs()
        assert [len(runs[key]) for key in (7, 57)] == [1, 1]
        await wait_until(
            lambda: scene.server.command("ZCARD", "bull:marks:completed") == 2,
            what="both to be in Redis, completed",
        )
    finally:
        await asyncio.to_thread(scene.close)
