"""`python -m benchmarks.isolated ORDER FOLDER`: one measurement, in a process of its own.

The last line that it prints is the answer, as JSON. Both sides of that conversation are here.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.loop import loop_factory
from benchmarks.order import Order, Values

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 1800.0
"""After so long a measurement is taken for stuck."""


class MeasurementError(Exception):
    """A measurement ended without an answer; the message has the end of what it said."""


def measure(order: Order, folder: Path) -> Values:
    """Have a fresh process make one measurement, and wait for it.

    Raises:
        MeasurementError: It failed, or took longer than half an hour.
    """
    process = start(order, folder)
    try:
        said, complaint = process.communicate(timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"{order.label}: no answer after {LONGEST_S:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode != 0 or not said.strip():
        end = "\n".join(complaint.strip().splitlines()[-15:])
        raise MeasurementError(f"{order.label}: exit code {process.returncode}\n{end}")
    return msgspec.json.decode(said.strip().splitlines()[-1], type=Values)


def start(order: Order, folder: Path) -> subprocess.Popen[str]:
    """Start a process that makes one measurement."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "benchmarks.isolated",
            msgspec.json.encode(order).decode(),
            str(folder),
        ],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Make the measurement of the command line, in this process."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    function = _function_of(order)
    found = function(order, Path(sys.argv[2]))
    if inspect.iscoroutine(found):
        found = _on_a_loop(found)
    print(msgspec.json.encode(found).decode(), flush=True)


def _function_of(order: Order) -> Callable[[Order, Path], Any]:
    module, _, name = order.work.partition(".")
    figures = importlib.import_module(f"benchmarks.{order.peer}_figures.{module}")
    function: Callable[[Order, Path], Any] = getattr(figures, name)
    return function


def _on_a_loop(measurement: Coroutine[Any, Any, Values]) -> Values:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(measurement)


if __name__ == "__main__":
    main()
