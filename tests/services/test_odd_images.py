from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.services.odd_images import odd_images

from toril.services.media.port import EngineKind

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("engine", list(EngineKind))
def test_odd_image_is_processed_or_refused_with_a_reason_but_never_crashes_or_hangs(
    engine: EngineKind,
) -> None:
    """In a process of its own: a crash of a decoder shows which file it was, and ends no test."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "tests.services.odd_images", engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 0, (
        f"ended by {done.returncode} over {lines[-1]}: {done.stderr[-2000:]}"
    )
    outcomes = [json.loads(line[line.rindex(' "') + 1 :]) for line in lines]
    odd = [line for line, word in zip(lines, outcomes, strict=True) if _word(word) is None]
    assert odd == []
    assert len(outcomes) == sum(1 for _ in odd_images())
    counts = Counter(_word(outcome) for outcome in outcomes)
    assert min(counts["processed"], counts["refused"]) > 200, counts


def _word(outcome: str) -> str | None:
    if outcome == "processed":
        return outcome
    return "refused" if outcome.startswith("refused: ") and len(outcome) > 15 else None
