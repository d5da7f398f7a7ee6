"""Programs that are their own `sys.executable`: frozen, embedded, read from standard input."""

from __future__ import annotations

import multiprocessing.spawn
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from toril.core.errors import InvalidOptionError
from toril.engine.runners.interpreter import (
    CHILD_VARIABLE,
    EXIT_RESTARTED,
    NoChildError,
    command_for,
    is_frozen,
    refuse_restart,
)

PROGRAM = """#!{python}
# Stands for a frozen program: started in any way, it does what it always does.
import asyncio, os, sys, toril
from toril import App, JobFailedError, RetryPolicy

with open({starts!r}, "a") as file:
    file.write("start\\n")
{freezing}
app = App({url!r})


@app.task(run_in="process", retry=RetryPolicy(max_attempts=5, base_s=0))
def work(n: int) -> list[int]:
    return [2 * n, os.getppid()]


async def main() -> None:
    async with app:
        job = await work.enqueue(21)
        async with app.worker():
            try:
                found = await job.result(timeout_s=50)
                print("result", found[0], found[1] == os.getpid())
            except JobFailedError as failure:
                print("failed", failure)
            print("attempts", (await job.info()).attempts_started)


if __name__ == "__main__":
{support}
    asyncio.run(main())
"""
FROZEN = "sys.frozen, sys.executable = True, {program!r}"
EMBEDDED = "sys.executable = {program!r}"
NAMELESS = "sys.executable = ''"
SUPPORT = "    toril.freeze_support()"


class Program:
    def __init__(self, folder: Path, freezing: str, support: str = "    pass") -> None:
        self._starts = folder / "starts"
        self._file = folder / "program"
        text = PROGRAM.format(
            python=sys.executable,
            starts=str(self._starts),
            url=f"sqlite:///{folder}/jobs.db",
            freezing=freezing.format(program=str(self._file)),
            support=support,
        )
        self._file.write_text(text)
        self._file.chmod(0o755)

    def run(self) -> subprocess.CompletedProcess[str]:
        return self._run([str(self._file)], None)

    def run_from_stdin(self) -> subprocess.CompletedProcess[str]:
        return self._run([sys.executable, "-"], self._file.read_text())

    def _run(self, command: list[str], stdin: str | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=55, check=False
        )

    @property
    def starts(self) -> int:
        return len(self._starts.read_text().splitlines())


def test_a_frozen_program_without_support_is_refused_before_it_starts_itself(
    tmp_path: Path,
) -> None:
    """Its first child was the program once more, which started the next: 28 of them in 20 s."""
    program = Program(tmp_path, FROZEN)

    done = program.run()

    assert done.returncode == 1
    assert (
        "InvalidOptionError: task 'work': run_in='process': this program is frozen" in done.stderr
    )
    assert "call toril.freeze_support()" in done.stderr
    assert program.starts == 1


def test_a_frozen_program_runs_tasks_in_processes_that_are_itself(tmp_path: Path) -> None:
    program = Program(tmp_path, FROZEN, SUPPORT)

    done = program.run()

    assert done.stdout.splitlines() == ["result 42 True", "attempts 1"], done.stderr
    assert program.starts == 2


def test_a_program_that_is_started_as_its_own_interpreter_ends_at_once(tmp_path: Path) -> None:
    """It does not say that it is frozen: a web server, say, with Python inside."""
    program = Program(tmp_path, EMBEDDED)

    done = program.run()

    failed, attempts = done.stdout.splitlines()
    assert failed.startswith("failed run_in='process': ")
    assert "is no Python interpreter, but this program" in failed
    assert "is no Python interpreter, but this program" in done.stderr
    assert attempts == "attempts 1"
    assert program.starts == 2


@pytest.mark.parametrize("freezing", ["", NAMELESS])
def test_a_program_from_standard_input_is_refused_where_its_worker_is_made(
    tmp_path: Path, freezing: str
) -> None:
    program = Program(tmp_path, freezing)

    done = program.run_from_stdin()

    assert done.returncode == 1
    words = "this Python is embedded" if freezing else "this __main__ has no file to import"
    assert words in done.stderr
    assert "InvalidOptionError: task 'work': " in done.stderr
    assert program.starts == 1


@pytest.fixture
def untold() -> Iterator[None]:
    """Multiprocessing is there, and goes by what `sys.executable` was."""
    before = multiprocessing.spawn.get_executable()
    yield
    multiprocessing.set_executable(os.fsdecode(before))


@pytest.fixture
def told(untold: None) -> None:
    """Multiprocessing is told where Python is."""
    multiprocessing.set_executable("/opt/other/python")


@pytest.mark.usefixtures("told")
def test_an_interpreter_that_multiprocessing_was_told_of_is_ours_too() -> None:
    assert command_for((3, 4), ["/a"])[0] == "/opt/other/python"


@pytest.mark.usefixtures("untold")
def test_an_executable_that_the_program_has_set_itself_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/python")

    assert command_for((3, 4), ["/a"])[0] == "/opt/python"


def test_a_compiled_main_module_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_frozen()
    monkeypatch.setattr(sys.modules["__main__"], "__compiled__", object(), raising=False)
    assert is_frozen()
    with pytest.raises(NoChildError, match="this program is frozen"):
        command_for((), ())


def test_whoever_is_no_child_is_let_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse_restart()
    monkeypatch.setenv(CHILD_VARIABLE, "1")
    with pytest.raises(SystemExit) as ended:
        refuse_restart()
    assert ended.value.code == EXIT_RESTARTED
    assert "is no Python interpreter" in capsys.readouterr().err


def test_a_child_hands_its_mark_to_none_of_its_own(tmp_path: Path) -> None:
    """A task may well start another program of ours."""
    code = f"import os; print({CHILD_VARIABLE!r} in os.environ)"
    command = command_for((), ())
    place = command.index("-c") + 1
    command[place] = command[place].partition("sys.path[:]")[0] + code

    done = subprocess.run(
        command, env={**os.environ, CHILD_VARIABLE: "1"}, capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"
    assert issubclass(NoChildError, InvalidOptionError)
