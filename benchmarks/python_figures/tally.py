"""A file in which worker processes note each run of a task, whatever they run it on.

A run is a record, appended in one write: that is whole from any thread, greenlet or process, and
costs a queue far less than a count in its store would.
"""

from __future__ import annotations

import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

VARIABLE = "BENCH_TALLY"
POLL_S = 0.02
STUCK_S = 60.0
"""After so long without a run nobody will come."""
_RECORD = struct.Struct("qqq")


class Run(NamedTuple):
    """A run of a task; moments are nanoseconds of `CLOCK_MONOTONIC`, which all processes share."""

    at_ns: int
    due_ns: int
    """When its job was due to be added. 0: it was not on a schedule."""
    process: int
    """Which worker process it was."""


def open_tally() -> Callable[..., None]:
    """Return how the tasks of this process note a run: `note(due_ns=0, process=None)`."""
    path = os.environ.get(VARIABLE)
    if path is None:  # a producer, whose tasks do not run
        return _refuse
    file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def note(due_ns: int = 0, process: int | None = None) -> None:
        who = os.getpid() if process is None else process
        os.write(file, _RECORD.pack(time.monotonic_ns(), due_ns, who))

    return note


def _refuse(due_ns: int = 0, process: int | None = None) -> None:
    raise RuntimeError(f"{VARIABLE} is not set: only worker processes run tasks")


@dataclass(frozen=True, slots=True)
class Tally:
    """What has been noted."""

    path: Path

    def count(self) -> int:
        """Return how many runs."""
        return self.path.stat().st_size // _RECORD.size

    def wait(self, runs: int, check: Callable[[], None]) -> None:
        """Return once so many have been noted.

        Parameters:
            runs: How many.
            check: Raises an error if there is nobody left who could run a task.

        Raises:
            RuntimeError: There was none for a minute.
        """
        before, since_s = 0, time.monotonic()
        while (now := self.count()) < runs:
            check()
            if now > before:
                before, since_s = now, time.monotonic()
            elif time.monotonic() - since_s > STUCK_S:
                raise RuntimeError(f"{now} of {runs} runs, and none more in {STUCK_S:.0f} s")
            time.sleep(POLL_S)

    def runs(self) -> list[Run]:
        """Return all runs, the earliest first."""
        return sorted(map(Run._make, _RECORD.iter_unpack(self.path.read_bytes())))


@contextmanager
def new_tally() -> Iterator[Tally]:
    """Give an empty one, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="toril-bench-tally-") as folder:
        path = Path(folder) / "runs"
        path.touch()
        yield Tally(path)


def per_s(runs: list[Run], *, warm_up: int) -> float:
    """Return the rate of the runs after the first ones, up to the last.

    The first are `warm_up` runs, and as many more as it takes until each process has had one: no
    start of a process is counted against a queue.
    """
    first_of: dict[int, int] = {}
    for run in runs:
        first_of.setdefault(run.process, run.at_ns)
    begin_ns = max(runs[warm_up - 1].at_ns, *first_of.values())
    counted = sum(run.at_ns > begin_ns for run in runs)
    if counted < (len(runs) - warm_up) // 4:
        raise RuntimeError(f"all processes were there for no more than {counted} runs")
    return counted / (runs[-1].at_ns - begin_ns) * 1e9
