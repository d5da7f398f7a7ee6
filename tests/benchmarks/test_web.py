"""The benchmark of the REST interface at work: few jobs, no look at how fast."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_every_figure_is_there(store: str) -> None:
    sizes = ["--jobs", "2000", "--queues", "6", "--seconds", "0.3", "--watched-s", "0.5"]
    command = [sys.executable, "-m", "benchmarks.web", "--store", store, *sizes]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=230)

    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^\| ([^|]+?) +\| ([^|]+?) +\|", done.stdout, re.MULTILINE))
    assert "… done, 200 changed" in done.stdout
    wanted = ["overview", "list of 50, anywhere in the line", "retry of 200: acknowledged"]
    assert all(re.match(r"[\d.]+ ms", rows[what]) for what in wanted), done.stdout
    peers = ["FastAPI with a bare push, 32 connections"] if store == "redis" else []
    for what in ["submits, 32 connections", *peers]:
        assert re.fullmatch(r"[\d,]+/s", rows[what]), done.stdout
    assert "calls of the store in 0.5 s, 1 stream and 50" in rows
