"""Worker processes of a queue, started from its command line as its users do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from benchmarks.order import Order
from benchmarks.python_figures.stage import ROOT, environment, load
from benchmarks.python_figures.tally import VARIABLE, Tally

END_S = 5.0
"""What they are given to end in order. Their store is thrown away, so nothing is lost."""


@contextmanager
def working(order: Order, where: str, tally: Tally) -> Iterator[Callable[[], None]]:
    """Have worker processes at work.

    Yields:
        What raises `RuntimeError` if one of them has ended; the message has its last words.
    """
    commands = load(order, where).worker_commands(order.concurrency)
    with tempfile.TemporaryFile("w+b") as complaints:
        processes = [
            subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **environment(order, where), VARIABLE: str(tally.path)},
                stdin=subprocess.DEVNULL,
                stdout=complaints,
                stderr=complaints,
                start_new_session=True,  # so that all that it starts can be ended with it
            )
            for command in commands
        ]

        def check() -> None:
            for process in processes:
                if process.poll() is not None:
                    complaints.seek(0)
                    end = complaints.read()[-2_000:].decode(errors="replace")
                    raise RuntimeError(f"a worker has ended: exit code {process.returncode}\n{end}")

        try:
            yield check
        finally:
            for process in processes:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and all of its session that is left."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
