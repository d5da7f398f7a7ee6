"""Programs of the faults end with the tests, also where these are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.lifelines import dies_with_us
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
STARTER = """
import pathlib, sys, time
from tests.faults.support import Program
program = Program("http.server", ["0"], pathlib.Path(sys.argv[1]), {})
print(program.process.pid, flush=True)
time.sleep(600)
"""


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(dies_with_us() == [], reason="the kernel has no such thing")
async def test_program_ends_when_the_tests_are_killed(tmp_path: Path) -> None:
    """They lived on, and a worker of the last run took the jobs of the next."""
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    assert is_there(pid)

    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()

    await wait_until(lambda: not is_there(pid), what="the end of the program")


@pytest.mark.skipif(dies_with_us() == [], reason="the kernel has no such thing")
def test_program_does_not_begin_for_tests_that_are_gone(tmp_path: Path) -> None:
    """Killed between the start and the word to the kernel, they left it behind all the same."""
    begun = tmp_path / "begun"
    command = [*dies_with_us(), "/bin/sh", "-c", 'touch "$0"', str(begun)]
    subprocess.run(command, check=True)  # for us it begins
    begun.unlink()

    between = ["/bin/sh", "-c", '"$@"; true', "sh", *command]  # its parent is another one
    subprocess.run(between, check=True)

    assert not begun.exists()
