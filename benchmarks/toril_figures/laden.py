"""The tasks that do, carry or leave something.

At module level, so that child processes find them.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.cases import Case
from benchmarks.toril_figures.noops import QUEUE
from toril import App, Context, KeepPolicy, Task, TaskBundle

bundle = TaskBundle()


@bundle.task(name="wait", queue=QUEUE)
async def wait(ms: float) -> None:
    await asyncio.sleep(ms / 1000)


@bundle.task(name="compute", queue=QUEUE, run_in="process")
def compute(ms: float) -> None:
    until_s = time.thread_time() + ms / 1000
    while time.thread_time() < until_s:
        pass


@bundle.task(name="carry", queue=QUEUE)
async def carry(load: str) -> None:
    pass


@bundle.task(name="kept", queue=QUEUE, keep_completed=KeepPolicy())
async def kept(i: int) -> None:
    pass


@bundle.task(name="answer", queue=QUEUE)
async def answer(i: int) -> dict[str, int]:
    return {"i": i}


@bundle.task(name="write", queue=QUEUE)
async def write(context: Context, i: int) -> None:
    context.log("one line, as a task writes them")


@bundle.task(name="report", queue=QUEUE)
async def report(context: Context, i: int) -> None:
    context.progress(50)


def task_of(app: App, case: Case) -> tuple[Task[Any, Any], dict[str, Any]]:
    """Return the task of a case, with its options, and the payload of each job."""
    if case.wait_ms:
        name, payload = "wait", {"ms": case.wait_ms}
    elif case.cpu_ms:
        name, payload = "compute", {"ms": case.cpu_ms}
    elif case.payload_bytes:
        return app.find_task("carry"), {"load": "x" * case.payload_bytes}
    else:
        said = {"answer": case.returns, "write": case.logs, "report": case.progresses}
        name = next((name for name, wanted in said.items() if wanted), "noop-loop")
        payload = {"i": 1}
    task = app.find_task(name)
    return task if case.kept else task.with_options(keep_completed=KeepPolicy(count=0)), payload
