"""Polls whether another process has written. A poll costs next to nothing while nobody writes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

SETTLED_S = 2.0
"""How old the last write to the log must be for its time to tell it from a later one. Some file
systems keep times of two seconds."""


class ChangeCheck:
    """What a `Signal` heeds. Called by one thread."""

    def __init__(self, path: str, ask: Callable[[], int]) -> None:
        """Make a look.

        Parameters:
            path: The file.
            ask: Asks SQLite, which takes several system calls and the writer's turn.
        """
        self._log = f"{path}-wal"
        self._ask = ask
        self._asked: tuple[int, int, int] | None = None
        """The log when SQLite was asked last."""
        self._answer = -1

    def __call__(self) -> int:
        """Return a number that differs once another connection has written."""
        log = self._find_log()
        if log is None or log != self._asked or time.time() - log[0] / 1e9 < SETTLED_S:
            self._asked = log  # as it was before the question: what is written meanwhile differs
            self._answer = self._ask()
        return self._answer

    def _find_log(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._log)
        except OSError:  # there is none before the first write, or its folder is gone
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
