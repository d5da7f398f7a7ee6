"""Tasks in child processes: what comes back, who is replaced when, what is left behind."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from tests.engine.runners import child_tasks as tasks
from tests.engine.runners.support import (
    call,
    lines,
    nowhere,
    only_pid,
    opened,
    wait_until,
)
from tests.support.children import own_children

from toril.core.codec import decode
from toril.core.errors import InvalidOptionError, PayloadTooLargeError, ProcessDiedError
from toril.engine.context import LineLogged, NamedFollowUp, ProgressMade, TaskMessage
from toril.engine.outcomes import Fail, Retry, Snooze
from toril.engine.runners import frames
from toril.engine.runners.errors import TaskRaisedError
from toril.engine.runners.processes import ProcessOptions

pytestmark = pytest.mark.usefixtures("children_before")

MIB = 1024 * 1024


async def test_task_returns_its_result_as_json() -> None:
    async with opened() as slots:
        assert await slots.run(call(tasks.echo, {"size": [1, 2]}), nowhere) == b'{"size":[1,2]}'


async def test_task_runs_in_a_process_group_of_its_own_with_the_workers_surroundings() -> None:
    async with opened() as slots:
        found = decode(await slots.run(call(tasks.about), nowhere))

    assert found == {
        "job_id": "17",
        "key": "media:17:1700000000000",
        "leader": True,
        "stdin": "",
        "argv": sys.argv,
        "path": sys.path,
        "main_thread": True,
    }


async def test_child_is_used_again_for_the_next_call() -> None:
    async with opened() as slots:
        first = await slots.run(call(tasks.pid), nowhere)
        second = await slots.run(call(tasks.pid), nowhere)

    assert first == second != str(os.getpid()).encode()


async def test_what_a_task_says_arrives_in_order_before_its_result() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        await slots.run(call(tasks.talk, 2000), said.append)

    assert said[:4] == [
        LineLogged("line 0"),
        ProgressMade("0"),
        LineLogged("line 1"),
        ProgressMade("1"),
    ]
    assert said[-1] == NamedFollowUp("notify", '{"done":true}')
    assert lines(said) == [f"line {number}" for number in range(2000)]


async def test_a_child_waits_while_there_is_no_room_for_what_it_says() -> None:
    """All that it said was read, and kept in memory until the store had taken it."""
    said: list[TaskMessage] = []
    full = False

    async with opened(is_full=lambda: full) as slots:
        await slots.run(call(tasks.echo), nowhere)
        full = True
        running = asyncio.create_task(slots.run(call(tasks.talk, 50_000), said.append))
        await wait_until(lambda: said)
        seen = -1
        while seen != len(said):  # until nothing more is read
            seen = len(said)
            await asyncio.sleep(0.1)
        assert seen < 50_000
        assert not running.done()
        full = False
        await running

    assert lines(said) == [f"line {number}" for number in range(50_000)]


async def test_a_child_that_waits_can_be_killed() -> None:
    said: list[TaskMessage] = []

    async with opened(is_full=lambda: True) as slots:
        running = asyncio.create_task(slots.run(call(tasks.talk, 50_000), said.append))
        await wait_until(lambda: said)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_thread_that_a_task_left_running_does_not_speak_for_the_next_job() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        await slots.run(call(tasks.late_voice), said.append)
        await slots.run(call(tasks.let_late_voice_speak), said.append)

    assert lines(said) == ["from this job"]


async def test_noise_on_stdout_does_not_reach_the_protocol(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async with opened() as slots:
        assert await slots.run(call(tasks.noise), nowhere) == b'"quiet"'

    assert "noise" in capfd.readouterr().out


async def test_large_payload_and_large_result_pass() -> None:
    async with opened() as slots:
        result = await slots.run(call(tasks.mebibytes, 64), nowhere)
        assert len(result) == 64 * MIB + 2

        assert await slots.run(call(tasks.echo, "y" * (8 * MIB)), nowhere) == (
            b'"' + b"y" * (8 * MIB) + b'"'
        )


async def test_payload_that_no_frame_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)

    async with opened() as slots:
        with pytest.raises(PayloadTooLargeError, match=r"'resize'.*payload.*at most 1000"):
            await slots.run(call(tasks.echo, "y" * 1000), nowhere)


async def test_provided_values_arrive() -> None:
    provided = pickle.dumps({tasks.Settings: tasks.Settings("photos")})

    async with opened(provided=provided) as slots:
        assert await slots.run(call(tasks.bucket), nowhere) == b'"photos"'
        assert await slots.run(call(tasks.bucket), nowhere) == b'"photos"'


async def test_provided_values_that_cannot_be_read_fail_the_attempt() -> None:
    async with opened(provided=b"\x80\x04cno_such_module\nThing\n.") as slots:
        for _ in range(2):
            with pytest.raises(ModuleNotFoundError, match="no_such_module"):
                await slots.run(call(tasks.echo), nowhere)


async def test_error_comes_back_as_it_was_with_the_childs_traceback() -> None:
    async with opened() as slots:
        with pytest.raises(tasks.PlainError) as caught:
            await slots.run(call(tasks.raise_plain), nowhere)

    assert caught.value.args == ("the file is empty", 7)
    assert caught.value.__notes__ == ["a note"]
    shown = "".join(traceback.format_exception(caught.value))
    assert "child_tasks.py" in shown
    assert "in raise_plain" in shown
    assert "runners/child.py" not in shown.partition("direct cause")[0].partition("child_tasks")[0]


@pytest.mark.parametrize(
    ("task", "kind", "text"),
    [
        (tasks.raise_from_elsewhere, "only_in_the_child.StrangeError", "strange"),
        (tasks.raise_exit, "builtins.SystemExit", "3"),
        (tasks.raise_cancelled, "asyncio.exceptions.CancelledError", ""),
        (tasks.raise_stop_iteration, "builtins.StopIteration", ""),
    ],
)
async def test_error_that_cannot_be_carried_over_is_told_by_kind_and_text(
    task: tasks.Task, kind: str, text: str
) -> None:
    async with opened() as slots:
        with pytest.raises(TaskRaisedError) as caught:
            await slots.run(call(task), nowhere)
        assert await slots.run(call(tasks.echo, "alive"), nowhere) == b'"alive"'

    assert (caught.value.kind, caught.value.text) == (kind, text)
    assert f"in {task.__qualname__}" in "".join(traceback.format_exception(caught.value))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("task", "kind", "text"),
    [
        (tasks.raise_odd, tasks.OddError, "odd 5 at /in"),
        (tasks.raise_holding, tasks.HoldingError, "holds a lock"),
    ],
)
async def test_error_that_cannot_be_unpickled_comes_back_as_what_it_was(
    task: tasks.Task, kind: type[Exception], text: str
) -> None:
    """Once it came as a TaskRaisedError, for which `give_up_on` did not hold."""
    async with opened() as slots:
        with pytest.raises(kind) as caught:
            await slots.run(call(task), nowhere)

    assert (type(caught.value), str(caught.value)) == (kind, text)


async def test_error_whose_text_cannot_be_made_comes_back_all_the_same() -> None:
    async with opened() as slots:
        with pytest.raises(tasks.MuteError):
            await slots.run(call(tasks.raise_mute), nowhere)


async def test_error_with_a_file_name_that_is_no_utf8_comes_back() -> None:
    async with opened() as slots:
        with pytest.raises(ValueError, match=r"caf.*jpg"):
            await slots.run(call(tasks.raise_surrogates), nowhere)


async def test_outcomes_come_back_as_they_were() -> None:
    async with opened() as slots:
        with pytest.raises(Retry) as retry:
            await slots.run(call(tasks.raise_outcome, "retry"), nowhere)
        with pytest.raises(Snooze) as snooze:
            await slots.run(call(tasks.raise_outcome, "snooze"), nowhere)
        with pytest.raises(Fail) as fail:
            await slots.run(call(tasks.raise_outcome, "fail"), nowhere)

    assert (retry.value.reason, retry.value.after_s) == ("later", 2.5)
    assert snooze.value.until == datetime(2030, 1, 1, tzinfo=UTC)
    assert fail.value.reason == "no such user"


async def test_module_that_cannot_be_imported_fails_the_attempt_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_tasks.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)

    async with opened() as slots:
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            await slots.run(call("no_such_module:task"), nowhere)
        with pytest.raises(ModuleNotFoundError, match="no_such_library") as caught:
            await slots.run(call("broken_tasks:task"), nowhere)

    assert "broken_tasks.py" in "".join(traceback.format_exception(caught.value))


async def test_name_that_is_no_task_is_refused_in_words() -> None:
    async with opened() as slots:
        with pytest.raises(InvalidOptionError, match="is a str in a child process, not a task"):
            await slots.run(call("tests.engine.runners.child_tasks:not_a_task"), nowhere)
        with pytest.raises(AttributeError, match="no_such_task"):
            await slots.run(call("tests.engine.runners.child_tasks:no_such_task"), nowhere)


async def test_child_is_replaced_after_so_many_attempts() -> None:
    async with opened(options=ProcessOptions(recycle_after=2)) as slots:
        pids = [await slots.run(call(tasks.pid), nowhere) for _ in range(5)]

    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]
    assert len(set(pids)) == 3


async def test_child_that_grew_is_replaced_once_its_attempt_has_ended() -> None:
    async with opened(options=ProcessOptions(max_growth_bytes=48 * MIB)) as slots:
        sizes = [1 * MIB, 32 * MIB, 32 * MIB, 1 * MIB]
        pids = [await slots.run(call(tasks.grow, size), nowhere) for size in sizes]

    assert pids[0] == pids[1] == pids[2] != pids[3]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not enforce RLIMIT_AS")
@pytest.mark.parametrize("task", [tasks.exhaust_at_once, tasks.exhaust_bit_by_bit])
async def test_attempt_over_the_memory_limit_fails_and_the_child_is_replaced(
    task: tasks.Task,
) -> None:
    async with opened(options=ProcessOptions(max_memory_bytes=192 * MIB)) as slots:
        before = await slots.run(call(tasks.pid), nowhere)
        with pytest.raises(MemoryError) as caught:
            await slots.run(call(task, 512 * MIB), nowhere)
        after = await slots.run(call(tasks.pid), nowhere)

    assert before != after
    assert f"in {task.__qualname__}" in "".join(traceback.format_exception(caught.value))


async def test_fifty_calls_at_once_each_get_their_own_result() -> None:
    async with opened() as slots:
        async with asyncio.timeout(50):
            results = await asyncio.gather(
                *(slots.run(call(tasks.echo, number), nowhere) for number in range(50))
            )
        pids = {child.pid for child in slots.children()}

    assert results == [str(number).encode() for number in range(50)]
    assert len(pids) <= 50


async def test_children_are_listed_with_what_they_do(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said: list[TaskMessage] = []

    async with opened() as slots:
        assert slots.children() == []
        running = asyncio.create_task(
            slots.run(call(tasks.read_pipe, str(pipe), job_id="99"), said.append)
        )
        await wait_until(lambda: said)

        [busy] = slots.children()
        assert (busy.job_id, busy.attempts) == ("99", 0)
        assert busy.rss_bytes > MIB

        pipe.write_text("go on")
        assert await running == b'"go on"'
        [free] = slots.children()
        assert (free.pid, free.job_id, free.attempts) == (busy.pid, None, 1)


async def test_signals_that_ask_the_worker_to_stop_leave_a_running_task_alone(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said: list[TaskMessage] = []

    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.read_pipe, str(pipe)), said.append))
        await wait_until(lambda: said)
        os.kill(only_pid(slots), signal.SIGINT)
        os.kill(only_pid(slots), signal.SIGTERM)

        pipe.write_text("unharmed")
        assert await running == b'"unharmed"'


async def test_free_child_that_is_killed_is_forgotten() -> None:
    async with opened() as slots:
        before = await slots.run(call(tasks.pid), nowhere)
        psutil.Process(only_pid(slots)).kill()
        await wait_until(lambda: not slots.children())

        assert await slots.run(call(tasks.pid), nowhere) != before


async def test_emit_that_fails_ends_the_call_with_its_error() -> None:
    def refuse(said: TaskMessage) -> None:
        raise LookupError("no such job")

    async with opened() as slots:
        with pytest.raises(LookupError, match="no such job"):
            await slots.run(call(tasks.spin), refuse)
        assert slots.children() == []


async def test_close_ends_busy_children_and_their_calls() -> None:
    said: list[TaskMessage] = []

    async with opened() as slots:
        running = asyncio.create_task(slots.run(call(tasks.spin), said.append))
        await slots.run(call(tasks.echo), nowhere)
        await wait_until(lambda: said)

        await slots.close()

        with pytest.raises(ProcessDiedError, match="SIGKILL: its worker closed"):
            await running
        assert slots.children() == []
        assert own_children() == []


async def test_close_kills_a_free_child_that_does_not_leave() -> None:
    async with opened() as slots:
        await slots.run(call(tasks.late_voice), nowhere)  # its thread never ends


async def test_closed_slots_refuse_calls() -> None:
    async with opened() as slots:
        await slots.close()
        with pytest.raises(ProcessDiedError, match="closed"):
            await slots.run(call(tasks.echo), nowhere)


async def test_process_that_cannot_be_started_fails_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")

    async with opened() as slots:
        with pytest.raises(ProcessDiedError, match=r"17.*no process could be started"):
            await slots.run(call(tasks.echo), nowhere)


def test_slots_work_on_a_loop_outside_the_main_thread() -> None:
    results: list[bytes] = []

    async def work() -> None:
        async with opened() as slots:
            results.append(await slots.run(call(tasks.echo, 1), nowhere))

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    thread.join()

    assert results == [b"1"]


def test_slots_work_on_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop", reason="an extra")

    async def work() -> None:
        async with opened() as slots:
            said: list[TaskMessage] = []
            assert await slots.run(call(tasks.echo, "y" * MIB), nowhere) == b'"' + b"y" * MIB + b'"'
            running = asyncio.create_task(slots.run(call(tasks.spin), said.append))
            await wait_until(lambda: said)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            with pytest.raises(ProcessDiedError):
                await slots.run(call(tasks.segfault), nowhere)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())


@pytest.mark.parametrize(
    ("name", "value"),
    [("recycle_after", 0), ("max_growth_bytes", 0), ("max_memory_bytes", 1024)],
)
def test_options_refuse_nonsense_by_name(name: str, value: int) -> None:
    with pytest.raises(InvalidOptionError, match=f"{name}={value}: expected"):
        ProcessOptions(**{name: value})
