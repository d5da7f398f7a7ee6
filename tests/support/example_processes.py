"""The processes of an example over one store, beside a test: started, awaited, asked, ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.lifelines import dies_with_us
from tests.support.waiting import wait_until, wait_until_sync

ROOT = Path(__file__).parents[2]
START_S = 180.0
"""How long a process may take to be there on a busy machine."""


def inherited(*without: str) -> dict[str, str]:
    """Return this process's environment without what examples read.

    Parameters:
        *without: Beginnings of the names that are left out.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith(without)}


class ExampleProcesses:
    """Processes of one example.

    Parameters:
        folder: Where their logs go, and what they write.
        environment: What all of them get.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {**environment}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.url = ""
        """Where the API is, once it was started."""

    def run_part(
        self, part: str, command: list[str], environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a process; return it and its log.

        Parameters:
            part: With what the name of its log begins.
            command: Its words.
            environment: What it alone gets.
        """
        log = self.folder / f"{part}-{len(self.processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*dies_with_us(), *command],
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process, log

    def wait_for(
        self, word: str, process: subprocess.Popen[bytes], log: Path, *, times: int = 1
    ) -> None:
        """Return once a process has written a word so many times."""

        def is_there() -> bool:
            assert process.poll() is None, log.read_text()
            return log.read_text().count(word) >= times

        wait_until_sync(is_there, deadline_s=START_S, what=f"{log.name} to say {word!r}")

    async def exit_code(self, process: subprocess.Popen[bytes], timeout_s: float = 60) -> int:
        """Return with what a process ends."""
        await wait_until(lambda: process.poll() is not None, deadline_s=timeout_s, what="its end")
        return int(process.returncode)

    def kill_all(self) -> None:
        """End all processes as the kernel does."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
