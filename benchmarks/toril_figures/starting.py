"""From nothing to something: processes started from outside, as people start them.

`app` is what `toril worker` is given.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.isolated import ROOT
from benchmarks.order import Order, Values
from benchmarks.toril_figures.noops import bundle
from benchmarks.toril_figures.stage import opened
from toril import App, HookEvent, Settings

DONE = b"done\n"
MOST = 7
"""Starts of each kind; the first is not counted, since it may find the files on the disk only."""

app = App(settings=Settings())
app.include(bundle)


@app.on("completed")
def tell(event: HookEvent) -> None:
    """Tell whoever has started this process."""
    os.write(1, DONE)


async def cold(order: Order, where: str) -> Values:
    """Milliseconds, each the median of some starts."""
    starts = min(MOST, max(2, order.jobs))
    url = f"sqlite:///{where}/toril.db" if order.store == "sqlite" else where
    async with opened(order, where) as own:
        firsts = []
        for i in range(starts):
            await own.find_task("noop-loop").enqueue(i)
            firsts.append(_first_job_ms(url))
    return {
        "bare_ms": _median(lambda: _process_ms([sys.executable, "-c", "pass"]), starts),
        "import_ms": _median(lambda: _import_ms("from toril import App"), starts),
        "bare_import_ms": _median(lambda: _import_ms("import toril"), starts),
        "help_ms": _median(lambda: _process_ms([sys.executable, "-m", "toril", "--help"]), starts),
        "first_ms": statistics.median(firsts[1:]),
    }


def _median(once: Callable[[], float], starts: int) -> float:
    return statistics.median([once() for _ in range(starts)][1:])


def _process_ms(command: Sequence[str]) -> float:
    begin_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begin_s) * 1000


def _import_ms(statement: str) -> float:
    program = (
        "import time; begin_s = time.perf_counter()\n"
        f"{statement}\n"
        "print((time.perf_counter() - begin_s) * 1000)"
    )
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _first_job_ms(url: str) -> float:
    name = f"{__name__}:app"
    begin_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "toril", "worker", name, "--url", url],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        took_ms = (time.perf_counter() - begin_s) * 1000
    finally:
        process.terminate()
        _, complaint = process.communicate()
    if said != DONE:
        raise RuntimeError(f"toril worker has run nothing: {complaint.decode()[-500:]}")
    return took_ms
