"""Programs as people write them, each run as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_GUARD = """
import asyncio
from toril import App, RetryPolicy

app = App("sqlite:///here.db")

@app.task(run_in="process", retry=RetryPolicy(base_s=0))
def double(n: int) -> int:
    return 2 * n

{work}
"""

ENQUEUES = """
job = double.enqueue_sync(4)
asyncio.run(app.worker().run(until_idle=True))
info = job.info_sync()
print(info.state, info.attempts_made, info.result, info.failed_reason)
print("jobs:", sum(queue.completed + queue.failed for queue in asyncio.run(app.queues())))
"""

ONLY_WORKS = """
async def main() -> None:
    app.queue("default")
    worker = app.worker()
    await worker.run(until_idle=True)

if "--add" in __import__("sys").argv:
    double.enqueue_sync(4)
else:
    asyncio.run(main())
    print((asyncio.run(app.queues()))[0].failed)
"""


def run(folder: Path, source: str, *arguments: str) -> str:
    script = folder / "script.py"
    script.write_text(source)
    environment = {name: value for name, value in os.environ.items() if "TORIL" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_script_without_a_guard_is_not_run_again_in_its_children(tmp_path: Path) -> None:
    output = run(tmp_path, WITHOUT_GUARD.format(work=ENQUEUES))

    state, attempts, _, reason = output.partition("\n")[0].split(" ", 3)
    assert (state, attempts) == ("failed", "1"), "another attempt would find the same script"
    assert 'put what it does under if __name__ == "__main__":' in reason
    assert output.count("jobs:") == 1
    assert "jobs: 1" in output


def test_a_script_with_a_guard_runs_its_own_tasks_in_children(tmp_path: Path) -> None:
    guarded = "if __name__ == '__main__':\n" + "\n".join(
        f"    {line}" for line in ENQUEUES.splitlines()
    )
    output = run(tmp_path, WITHOUT_GUARD.format(work=guarded))

    assert output.splitlines() == ["completed 1 8 None", "jobs: 1"]


def test_a_worker_script_without_a_guard_starts_no_worker_in_its_children(tmp_path: Path) -> None:
    source = WITHOUT_GUARD.format(work=ONLY_WORKS)
    run(tmp_path, source, "--add")

    assert run(tmp_path, source) == "1\n"


EXITS = """
def main() -> int:
    try:
        job = double.enqueue_sync(4)
        asyncio.run(app.worker().run(until_idle=True))
        info = job.info_sync()
        print(info.state, info.attempts_made, info.failed_reason)
    except Exception as error:
        return 1
    return 0

__import__("sys").exit(main())
"""


def test_a_script_without_a_guard_that_exits_fails_its_job_once(tmp_path: Path) -> None:
    """Each attempt ended with `SystemExit: 1`, and nobody could guess why."""
    output = run(tmp_path, WITHOUT_GUARD.format(work=EXITS))

    assert output.startswith("failed 1 ")
    assert 'put what it does under if __name__ == "__main__":' in output


FORKS = """
import asyncio, os, sys
from toril import App

app = App("sqlite:///here.db")

@app.task()
def note(word: str) -> str:
    return word

async def both() -> str:
    await note.enqueue("on a loop")
    return "ok"

if __name__ == "__main__":
    first = note.enqueue_sync("parent")
    waiting = first.info_sync()
    pid = os.fork()
    if pid == 0:
        note.enqueue_sync("child")
        assert asyncio.run(both()) == "ok"
        assert first.info_sync().data == {"word": "parent"}
        {leave}
    _, status = os.waitpid(pid, 0)
    assert status == 0, status
    note.enqueue_sync("parent again")
    asyncio.run(app.worker().run(until_idle=True))
    print(first.result_sync(10))
    (queue,) = asyncio.run(app.queues())
    print(queue.completed, asyncio.run(app.check()).ok)
    app.close_sync()
"""


def test_a_forked_child_that_only_closes_the_app_leaves_it_to_its_parent(tmp_path: Path) -> None:
    lines = FORKS.replace("{leave}", "").splitlines()
    begin = lines.index('        note.enqueue_sync("child")')
    lines[begin : begin + 3] = ["        app.close_sync(); sys.exit(0)"]

    assert run(tmp_path, "\n".join(lines)).splitlines() == ["parent", "2 True"]


@pytest.mark.parametrize("leave", ["os._exit(0)", "sys.exit(0)", "app.close_sync(); sys.exit(0)"])
def test_a_forked_child_enqueues_beside_its_parent(tmp_path: Path, leave: str) -> None:
    output = run(tmp_path, FORKS.replace("{leave}", leave))

    assert output.splitlines() == ["parent", "4 True"]


INTERRUPTED = """
import asyncio, os, signal
from toril import App

app = App("sqlite:///here.db")

@app.task()
async def wait() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.Event().wait()

if __name__ == "__main__":
    # Where tests run in the background, the signal comes ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = wait.enqueue_sync()
    try:
        asyncio.run(app.worker(lease=3600).run())
    except KeyboardInterrupt:
        info = job.info_sync()
        print(info.state, info.attempts_made)
"""


def test_ctrl_c_under_asyncio_run_gives_the_jobs_back(tmp_path: Path) -> None:
    assert run(tmp_path, INTERRUPTED) == "wait 0\n"
