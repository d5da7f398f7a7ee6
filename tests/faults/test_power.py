"""Loss of power, as far as it shows from outside: what is acknowledged was synced before.

The producer runs under strace(1), which tells in what order it writes, syncs and prints.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from tests.faults.support import ROOT, Say, Stage
from tests.support.packages import install

JOBS = 50


@pytest.mark.parametrize("durability", ["full", "normal"])
async def test_job_is_acknowledged_only_once_the_log_is_on_the_disk(
    stage: Stage, say: Say, durability: str
) -> None:
    if shutil.which("strace") is None:
        trouble = install("strace")
        assert shutil.which("strace"), f"strace(1) is needed to see the order of writes: {trouble}"
    trace = stage.folder / "trace"
    options = {"many": JOBS, "together": 1, "queues": ["loop"]}

    done = subprocess.run(
        [
            *("strace", "-f", "-y", "-e", "trace=fsync,fdatasync,pwrite64,write", "-o", trace),
            *(sys.executable, "-m", "tests.faults.programs.producer", json.dumps(options)),
        ],
        cwd=ROOT,
        env={**os.environ, **stage.environment, "TORIL_DURABILITY": durability},
        capture_output=True,
        check=True,
    )

    assert len(done.stdout.splitlines()) == JOBS
    acknowledged, early = read_trace(trace.read_text(errors="replace"))
    assert acknowledged == JOBS
    # `normal` promises less. That it shows here proves that the trace can tell the difference.
    assert early == (0 if durability == "full" else JOBS)
    say(f"{JOBS} jobs with durability={durability}: {early} acknowledged before the log was synced")


def read_trace(text: str) -> tuple[int, int]:
    """Return how many jobs were told, and how many of them while the log was not synced yet."""
    acknowledged = early = 0
    synced = True
    for line in text.splitlines():
        if "pwrite64(" in line and "-wal>" in line:
            synced = False
        elif "fdatasync" in line and line.endswith("= 0"):
            # Of the log: directly, or the end of a call during which another thread was traced.
            synced = synced or "-wal>" in line or "resumed" in line
        elif "write(1<" in line and '"loop/' in line:
            acknowledged += 1
            early += not synced
    return acknowledged, early
