"""Redis goes away and comes back, while real processes add and run jobs: the short form.

The long one: `make faults-fallback`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.faults.fallback_rounds import FAULTS, play
from tests.faults.support import Say


@pytest.mark.parametrize("kind", FAULTS)
async def test_no_job_is_lost_or_doubled(kind: str, tmp_path: Path, say: Say) -> None:
    seen = await play(kind, tmp_path, jobs=400, rate=100.0, chance=random.Random())

    say(seen.line())
    assert seen.acknowledged >= 400 * (kind != "producer-killed")
    assert (seen.lost, seen.doubled, seen.refused) == (0, 0, 0), seen.notes
    assert not [note for note in seen.notes if "left in the spool: 0" not in note], seen.notes
