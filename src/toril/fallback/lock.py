"""A lock between processes that share a spool: one of them moves jobs at a time.

The system frees it when its process dies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class MoveLock:
    """A lock on a file beside the spool. A spool in memory needs none."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    @contextmanager
    def tried(self) -> Iterator[bool]:
        """Hold the lock for a while, if nobody else holds it; yield whether that is so."""
        if self._path is None:
            yield True
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)
