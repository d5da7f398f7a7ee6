"""What every fault needs: a stage, and a way to say what was seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.support import Say, Stage, open_stage


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A store in a file of its own; every process on it ends with the test."""
    stage = open_stage(tmp_path)
    yield stage
    await stage.close()


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Say:
    """Print a figure past pytest's capture."""

    def print_it(text: str) -> None:
        with capsys.disabled():
            print(f"\n  {request.node.name}: {text}", flush=True)

    return print_it
