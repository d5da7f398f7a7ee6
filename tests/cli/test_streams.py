"""Commands that are started with closed standard streams, as daemons are."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys

import pytest
from tests.cli.support import PATIENCE_S, Terminal, command

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_worker_works_whatever_streams_are_closed(
    terminal: Terminal, closed: str, loop: str
) -> None:
    """It died without a word and left its claims active."""
    job_id = terminal.add("mail", "send", {"to": "jo"})
    words = shlex.join(command("worker", "shop:app", f"--loop={loop}"))
    worker = subprocess.Popen(
        ["sh", "-c", f"exec {words} {closed}"], cwd=terminal.folder, env=terminal.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        terminal.until_state("mail", job_id, "completed")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE_S) == 0
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize(
    "words",
    [
        ["--help"], ["queues"], ["queues", "--json"], ["workers"], ["jobs", "list", "mail"],
        ["doctor"], ["metrics"], ["queue", "mail"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_commands_end_well_whatever_streams_are_closed(
    terminal: Terminal, words: list[str], closed: str
) -> None:
    """They ended with `unexpected AttributeError`."""
    terminal.add("mail", "send", {"to": "jo"})
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(command(*words))} {closed}"],
        cwd=terminal.folder, env=terminal.environment(), capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_opened_first_does_not_get_the_number_of_a_stream(terminal: Terminal) -> None:
    """Whatever then writes to stderr would write into the store's file, or its connection."""
    code = (
        "import os, sys; from toril.cli.streams import open_closed_streams; open_closed_streams();"
        " file = open('first', 'w'); os.write(2, b'to stderr'); sys.stderr.write('as well');"
        " file.write(str(file.fileno() > 2))"
    )
    words = shlex.join([sys.executable, "-c", code])
    subprocess.run(["sh", "-c", f"exec {words} <&- >&- 2>&-"], cwd=terminal.folder, check=True)

    assert (terminal.folder / "first").read_text() == "True"
