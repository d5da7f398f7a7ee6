"""Commands in real terminals, each in a process that is forked where all is imported.

For a test of many commands: to start Python and to import take longer than what they do. How a
command starts by itself is the matter of `screen.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType

from tests.cli.screen import COLUMNS, LINES
from tests.cli.support import Terminal
from tests.support.lifelines import dies_with_us

PROGRAM = """
import fcntl, gc, importlib, json, os, pty, struct, sys, termios

import rich.console, rich.table
import toril.app
import toril.backends.sqlite.store
import toril.outbox.engines
from toril.cli.main import COMMANDS, main

for place, _ in COMMANDS.values():
    importlib.import_module(f"toril.cli.{place.partition(':')[0]}")
gc.freeze()  # what is there already is not copied by a child that looks for garbage
size = struct.pack("HHHH", int(sys.argv[2]), int(sys.argv[1]), 0, 0)
while line := sys.stdin.readline():
    pid, terminal = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, size)
        sys.argv = ["toril", *json.loads(line)]
        # As Python opens them where it starts in a terminal.
        sys.stdin, sys.stdout = open(0), open(1, "w", buffering=1)
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")
        main()
    said = b""
    try:
        while heard := os.read(terminal, 65536):
            said += heard
    except OSError:  # Linux says so when the other end is closed
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)  # which hangs up on a process that has not ended
    print(json.dumps([code, said.decode(errors="replace")]), flush=True)
"""


class Prepared:
    """`with Prepared(terminal) as prepared:`. Ends with the block."""

    def __init__(self, terminal: Terminal) -> None:
        self._process = subprocess.Popen(
            [*dies_with_us(), sys.executable, "-c", PROGRAM, str(COLUMNS), str(LINES)],
            cwd=terminal.folder,
            env=terminal.environment(TERM="xterm-256color"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Prepared:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._process:
            self._process.kill()

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what was on its screen."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(words)}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"{words} left no answer"
        code, text = json.loads(line)
        return int(code), str(text)
