"""`python -m benchmarks.isolated ORDER WHERE`: one measurement, in a process of its own.

The last line that it prints is the answer, as JSON: values, or the samples of a latency. Both sides
of that conversation are here; for BullMQ on Node the other one is `bullmq_node_figures/main.cjs`.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.latencies import Sample, percentiles_ms
from benchmarks.loop import loop_factory
from benchmarks.order import Order, Values
from benchmarks.peers import node_command, python_of_port
from benchmarks.python_peers import PYTHON_PEERS

ROOT = Path(__file__).resolve().parent.parent
NODE_PROGRAM = Path(__file__).resolve().parent / "bullmq_node_figures" / "main.cjs"
LONGEST_S = 1800.0
"""After so long a measurement is taken for stuck."""

Answer = Values | list[Sample]


class MeasurementError(Exception):
    """A measurement ended without an answer; the message has the end of what it said."""


def measure(order: Order, where: str, *, python: str = sys.executable) -> Values:
    """Have a fresh process make one measurement, and wait for it.

    Parameters:
        order: Which.
        where: The folder of a store, or the URL of a server.
        python: Whose Toril is measured: that which this interpreter finds.

    Raises:
        MeasurementError: It failed, or took longer than half an hour.
    """
    process = start(order, where, python=python)
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
    answer: Answer = msgspec.json.decode(said.strip().splitlines()[-1], type=Answer)
    if isinstance(answer, list):
        return percentiles_ms(answer, warm_up=order.warm_up)
    return answer


def start(order: Order, where: str, *, python: str = sys.executable) -> subprocess.Popen[str]:
    """Start a process that makes one measurement."""
    command, extra = [python, "-m", "benchmarks.isolated"], {}
    if order.peer == "bullmq_node":
        node, packages = node_command()
        command, extra = [node, str(NODE_PROGRAM)], {"NODE_PATH": packages}
    elif order.peer == "bullmq_python":
        # Its environment has what it asks for, and not us: all that is imported is found by path.
        command[0], extra = python_of_port(), {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    elif order.peer in PYTHON_PEERS:
        command[0], extra = PYTHON_PEERS[order.peer].python, {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, msgspec.json.encode(order).decode(), where],
        cwd=ROOT,
        env={**os.environ, **extra, "BENCH_PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def main() -> None:
    """Make the measurement of the command line, in this process."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    function = _function_of(order)
    found = function(order, sys.argv[2])
    if inspect.iscoroutine(found):
        found = _on_a_loop(found)
    print(msgspec.json.encode(found).decode(), flush=True)


def _function_of(order: Order) -> Callable[[Order, str], Any]:
    module, _, name = order.work.partition(".")
    folder = "python_figures" if order.peer in PYTHON_PEERS else f"{order.peer}_figures"
    figures = importlib.import_module(f"benchmarks.{folder}.{module}")
    function: Callable[[Order, str], Any] = getattr(figures, name)
    return function


def _on_a_loop(measurement: Coroutine[Any, Any, Answer]) -> Answer:
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(measurement)


if __name__ == "__main__":
    main()
