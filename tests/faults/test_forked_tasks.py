"""A task that forks: its child ends where the task's code ends, and is no second worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.waiting import wait_until_sync

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from toril import App, RetryPolicy

app = App("sqlite:///jobs.db")
once = RetryPolicy(max_attempts=1)


def fork(kind: str) -> str:
    child = os.fork()
    if child == 0:
        if kind == "raises":
            raise ValueError("in the child")
        if kind == "exits":
            sys.exit(7)
        return "in the child"
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return f"child {code}"


@app.task(queue="q", retry=once)
def in_thread(kind: str) -> str:
    return fork(kind)


@app.task(queue="q", retry=once)
async def on_loop(kind: str) -> str:
    return fork(kind)


@app.task(queue="q", retry=once)
async def goes_on(kind: str) -> str:
    child = os.fork()
    if child == 0:
        await asyncio.sleep(0.01)
        Path("second").write_text("acted")
        return "in the child"
    while not os.waitpid(child, os.WNOHANG)[0]:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return "child " + ("acted" if Path("second").exists() else "ended")


if __name__ == "__main__":
    async def main():
        async with app:
            for task in (in_thread, on_loop):
                for kind in ("returns", "raises", "exits"):
                    job = await task.enqueue(kind)
                    print(await job.result(timeout_s=60), flush=True)
            print(await (await goes_on.enqueue("")).result(timeout_s=60), flush=True)
    asyncio.run(main())
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_forked_child_ends_where_the_code_of_its_task_ends(tmp_path: Path, loop: str) -> None:
    """It went on: waiting for the next call in its thread, or with the whole event loop."""
    (tmp_path / "jobs.py").write_text(PROGRAM)
    words = [sys.executable, "-m", "toril", "worker", "jobs:app", f"--loop={loop}"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(words, cwd=tmp_path, stderr=log, start_new_session=True)
    try:
        done = subprocess.run(
            [sys.executable, "jobs.py"], cwd=tmp_path, capture_output=True, text=True, timeout=90
        )
        assert done.stdout.splitlines() == [*["child 0", "child 1", "child 7"] * 2, "child ended"]
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        wait_until_sync(lambda: not group_lives(worker.pid), what="the end of all its processes")
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def group_lives(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
