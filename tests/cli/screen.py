"""A command in a real terminal, 80 columns wide."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from types import TracebackType

from tests.cli.support import PATIENCE_S, Terminal, command

COLUMNS, LINES = 80, 24


class Screen:
    """`with Screen(terminal, "top") as screen:`. Ends with the block."""

    def __init__(self, terminal: Terminal, *words: str, **environment: str) -> None:
        self.text = ""
        self.fd, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        try:
            self.process = subprocess.Popen(
                command(*words),
                cwd=terminal.folder,
                env=terminal.environment(TERM="xterm-256color", **environment),
                stdin=inner,
                stdout=inner,
                stderr=inner,
                start_new_session=True,
                preexec_fn=_take_terminal,
            )
        finally:
            os.close(inner)

    def __enter__(self) -> Screen:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.fd)

    def shows(self, text: str) -> None:
        """Wait until a text was on the screen."""
        until_s = time.monotonic() + PATIENCE_S
        while text not in self.text:
            assert time.monotonic() < until_s, f"{text!r} is not in:\n{self.text}"
            assert self._read(), f"it ended without {text!r}:\n{self.text}"

    def types(self, text: str) -> None:
        """Type a text, as its user would."""
        os.write(self.fd, text.encode())

    def ends(self) -> int:
        """Wait for its end and return its exit code."""
        until_s = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < until_s, f"it does not end:\n{self.text}"
        return self.process.wait(PATIENCE_S)

    def _read(self) -> bool:
        """Read what is there; return False once the command has let go of the terminal."""
        if not select.select([self.fd], [], [], 0.1)[0]:
            return True
        try:
            heard = os.read(self.fd, 65536)
        except OSError:  # Linux says so when the other end is closed
            return False
        self.text += heard.decode(errors="replace")
        return heard != b""


def _take_terminal() -> None:
    """Make standard input the process's own terminal, so that Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
