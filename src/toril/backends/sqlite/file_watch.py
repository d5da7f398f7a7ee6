"""Notices when the open files of a store are deleted or replaced."""

from __future__ import annotations

import os
import time

from toril.core.errors import StoreLostError

SETTLED_S = 0.1
"""How old a folder's last change must be, in seconds, so that a later change gets another time.
Kernels stamp files once a tick, which is 10 ms at most."""
SETTLED_COARSE_S = 2.0
"""The same on file systems that keep times in steps, of two seconds at most."""
STEP_NS = 1_000_000
"""A time that is no multiple of this was not kept in steps."""

Identity = tuple[int, int]
"""Device and inode number of a file."""


class FileWatch:
    """The file of a store, and the log (`-wal`) and its index (`-shm`) beside it.

    A process can go on writing to a file that was deleted or moved. Without a check such writes
    would be acknowledged and lost. The same holds for the log: other processes start a new one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.real = os.path.realpath(path)
        """The path with links resolved. SQLite puts the log beside this one."""
        self._folder = os.path.dirname(path)
        self._is_link = os.path.islink(path)
        self._opened = _found(path)
        self._beside: dict[str, Identity | None] = {}
        self._settled: tuple[int, int, int] | None = None
        """The folder at the last full check. While it is unchanged, nothing in it was made, removed
        or renamed."""

    @property
    def file(self) -> Identity | None:
        """The file itself."""
        return self._opened

    def note_log(self) -> None:
        """Remember the log and its index, which a connection has just opened."""
        self._settled = None
        self._beside = {end: _found(self.real + end) for end in ("-wal", "-shm")}

    def forget_log(self) -> None:
        """Forget the log. It is not in use any more, so anybody may remove or replace it."""
        self._settled = None
        self._beside = {}

    def check(self) -> None:
        """Check that the paths still lead to the files that were opened.

        Raises:
            StoreLostError: One leads to none, or to another.
        """
        try:
            folder = os.stat(self._folder)
        except OSError:
            now = None
        else:
            now = (folder.st_dev, folder.st_ino, folder.st_mtime_ns)
            if now == self._settled:
                return
        if _found(self._path) != self._opened:
            raise StoreLostError(
                f"{self._path}: the file was deleted, moved or replaced while it was in use."
                " Nothing was written; put it back, or start this process anew."
            )
        for end, opened in list(self._beside.items()):
            if _found(self.real + end) != opened:
                raise StoreLostError(
                    f"{self.real}{end}: was deleted or replaced while it was in use. Nothing was"
                    " written. End all processes that use the store, then start them anew, and do"
                    " not touch the files beside it; `toril doctor` names those processes."
                )
        if self._is_link or now is None:  # the log is in another folder, or all of it is gone
            return
        # The full check is slow: since Linux 6.13, the next write to a file whose times were read
        # must also update its inode on the disk, and the commit waits for that.
        settled_s = SETTLED_S if now[2] % STEP_NS else SETTLED_COARSE_S
        if time.time() - now[2] / 1e9 > settled_s:
            self._settled = now

    def log_is_another(self) -> bool:
        """Whether the log at its path is another one than the one in use."""
        now = _found(f"{self.real}-wal")
        return now is not None and now != self._beside.get("-wal", now)

    def log_is_gone(self) -> bool:
        """Whether a log is in use, but none lies at its path."""
        return self._beside.get("-wal") is not None and _found(f"{self.real}-wal") is None


def _found(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
