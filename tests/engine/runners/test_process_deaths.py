"""Children that are killed, crash or leave: the attempt fails, and nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.engine.runners import child_tasks as tasks
from tests.engine.runners.support import (
    call,
    is_gone,
    lines,
    nowhere,
    opened,
    wait_until,
)
from tests.support.children import own_children

from toril.core.errors import ProcessDiedError, TorilError
from toril.engine.context import TaskMessage
from toril.engine.runners.deaths import how, signal_name

pytestmark = pytest.mark.usefixtures("children_before")

ROOT = Path(__file__).parents[3]

WORKER = """
import asyncio, sys
from tests.engine.runners import child_tasks
from tests.engine.runners.support import call
from toril.engine.runners.processes import ProcessSlots

def tell(said):
    print(said.line, flush=True)

asyncio.run(ProcessSlots().run(call(getattr(child_tasks, sys.argv[1])), tell))
"""


@pytest.mark.parametrize(
    ("task", "payload", "words"),
    [
        (tasks.segfault, None, "SIGSEGV: a crash in native code"),
        (tasks.kill_itself, None, "killed by SIGKILL"),
        (tasks.leave, 3, "exit code 3"),
        (tasks.leave, 0, "exit code 0"),
    ],
)
async def test_child_that_dies_fails_its_attempt_and_is_replaced(
    task: tasks.Task, payload: int | None, words: str
) -> None:
    async with opened() as slots:
        with pytest.raises(ProcessDiedError, match=words) as caught:
            await slots.run(call(task, payload), nowhere)
        assert await slots.run(call(tasks.echo, "next"), nowhere) == b'"next"'

    assert "job 17 of queue 'media', task 'resize'" in str(caught.value)
    assert " 0 MiB" not in str(caught.value)


async def test_neighbours_of_a_crash_are_unharmed(tmp_path: Path) -> None:
    pipes = [tmp_path / str(number) for number in range(3)]
    said: list[TaskMessage] = []

    async with opened() as slots:
        neighbours = []
        for pipe in pipes:
            os.mkfifo(pipe)
            run = slots.run(call(tasks.read_pipe, str(pipe)), said.append)
            neighbours.append(asyncio.create_task(run))
        await wait_until(lambda: len(said) == 3)

        for crash in (tasks.segfault, tasks.kill_itself):
            with pytest.raises(ProcessDiedError):
                await slots.run(call(crash), nowhere)

        for pipe in pipes:
            pipe.write_text("well")
        assert await asyncio.gather(*neighbours) == [b'"well"'] * 3


@pytest.mark.parametrize("task", [tasks.spin, tasks.spin_in_native_code])
async def test_cancelled_call_is_killed_whatever_it_does(task: tasks.Task) -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(task), said.append))
        await wait_until(lambda: said)
        [child] = slots.children()

        began_s = time.monotonic()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        assert not psutil.pid_exists(child.pid)  # reaped, not merely told to end
        assert time.monotonic() - began_s < 5  # in fact a few ms; the machine may be busy
        assert await slots.run(call(tasks.echo, "next"), nowhere) == b'"next"'


async def test_cancelled_call_takes_its_grandchildren_along() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.wait_for_grandchild), said.append))
        await wait_until(lambda: len(said) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        _, grandchild = map(int, lines(said))
        await wait_until(lambda: is_gone(grandchild))


async def test_timeout_ends_the_process() -> None:
    async with opened() as slots:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await slots.run(call(tasks.spin), nowhere)
        assert slots.children() == []


async def test_call_cancelled_while_its_child_starts_leaves_nothing() -> None:
    async with opened() as slots:
        for turns in range(8):
            running = asyncio.create_task(slots.run(call(tasks.echo), nowhere))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert slots.children() == []
        assert own_children() == []


async def test_call_cancelled_in_the_middle_of_a_large_payload_leaves_nothing() -> None:
    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.echo, "y" * 32_000_000), nowhere))
        await wait_until(lambda: slots.children() and slots.children()[0].rss_bytes)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_child_killed_in_the_middle_of_a_large_payload_fails_the_attempt() -> None:
    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.echo, "y" * 32_000_000), nowhere))
        await wait_until(slots.children)
        os.kill(slots.children()[0].pid, signal.SIGKILL)
        with pytest.raises(ProcessDiedError, match="SIGKILL"):
            await running


async def test_second_cancellation_leaves_no_process_either() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.spin), said.append))
        await wait_until(lambda: said)
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_loop_that_ends_without_close_leaves_no_busy_process() -> None:
    pids: list[int] = []

    async def work() -> None:
        async with opened() as slots:
            said: list[TaskMessage] = []
            running = asyncio.create_task(slots.run(call(tasks.spin), said.append))
            await wait_until(lambda: said)
            pids.extend(child.pid for child in slots.children())
            running.cancel()  # and the loop's end cancels what this began

    asyncio.run(work())

    assert [psutil.pid_exists(pid) for pid in pids] == [False]


async def test_child_that_cannot_start_fails_the_attempt(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [])

    async with opened() as slots:
        with pytest.raises(ProcessDiedError, match="exit code 1 before it was ready"):
            await slots.run(call(tasks.echo), nowhere)

    assert "No module named 'toril'" in capfd.readouterr().err


async def test_task_that_forks_answers_once() -> None:
    async with opened() as slots:
        result = await slots.run(call(tasks.fork_and_return), nowhere)
        assert result == b'"from the original"'
        assert await slots.run(call(tasks.echo, "next"), nowhere) == b'"next"'


async def test_forked_copy_cannot_speak_for_the_job() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        assert await slots.run(call(tasks.fork_and_speak), said.append) == b"1"

    assert said == []


async def test_forked_copy_does_not_hide_the_death_of_its_original() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        with pytest.raises(ProcessDiedError, match="exit code 0"):
            await slots.run(call(tasks.fork_and_leave), said.append)
        await wait_until(lambda: is_gone(int(lines(said)[0])))


async def test_task_that_closes_all_descriptors_fails_and_nothing_is_written_elsewhere(
    tmp_path: Path,
) -> None:
    async with opened() as slots:
        with pytest.raises(ProcessDiedError, match="closed the descriptor"):
            await slots.run(call(tasks.close_everything, str(tmp_path)), nowhere)

    assert [file.stat().st_size for file in tmp_path.iterdir()] == [0] * 8


@pytest.mark.parametrize("task", ["spin_with_grandchild", "wait_for_grandchild"])
async def test_worker_killed_by_sigkill_leaves_no_child_and_no_grandchild(task: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, task], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as worker:
        assert worker.stdout is not None
        pids = [int(worker.stdout.readline()) for _ in range(2)]
        assert not any(is_gone(pid) for pid in pids)

        worker.kill()

    await wait_until(lambda: all(is_gone(pid) for pid in pids))


def test_deaths_are_told_with_what_to_do() -> None:
    assert how(-9, out_of_memory=True).endswith("ran out of memory (lower the concurrency)")
    assert how(-9, out_of_memory=False).endswith("SIGKILL, from outside")
    assert how(-15, out_of_memory=False) == "was ended by SIGTERM"
    assert "could not be ended" in how(None, out_of_memory=False)
    assert signal_name(40) == "signal 40"
    assert issubclass(ProcessDiedError, TorilError)
