"""Which files a store has opened, told from others that lie at their paths by now."""

from __future__ import annotations

import os
import time

from toril.core.errors import StoreLostError

SETTLED_S = 2.0
"""How old the last change of a folder must be for its time to tell it from a later one. Some file
systems keep times of two seconds."""

Identity = tuple[int, int]
"""Device and number of a file."""


class Place:
    """The file of a store, and the log (`-wal`) and its index (`-shm`) beside it.

    A file that was deleted or moved stays usable for those who have it open: without a look, what
    they write is acknowledged and lost. So it is when the log is gone: others begin a new one.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.real = os.path.realpath(path)
        """Where the file lies if its path is a link. SQLite puts the log there, beside it."""
        self._folder = os.path.dirname(path)
        self._is_link = os.path.islink(path)
        self._opened = _found(path)
        self._beside: dict[str, Identity | None] = {}
        self._settled: tuple[int, int, int] | None = None
        """The folder as it was when everything was looked at last: until it changes, nothing in it
        was made, removed or renamed."""

    @property
    def file(self) -> Identity | None:
        """The file itself."""
        return self._opened

    def note_log(self) -> None:
        """Remember the log and its index as they are now: a connection has just opened them."""
        self._settled = None
        self._beside = {end: _found(self.real + end) for end in ("-wal", "-shm")}

    def forget_log(self) -> None:
        """The log is not in use any more, and may be removed and begun anew by anybody."""
        self._settled = None
        self._beside = {}

    def check(self) -> None:
        """Do nothing if the paths still lead to the files that were opened.

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
        if time.time() - now[2] / 1e9 > SETTLED_S:
            self._settled = now

    def log_is_another(self) -> bool:
        """Whether a log lies at its path that is not the one in use."""
        now = _found(f"{self.real}-wal")
        return now is not None and now != self._beside.get("-wal", now)

    def log_is_gone(self) -> bool:
        """Whether no log lies at its path although one is in use."""
        return self._beside.get("-wal") is not None and _found(f"{self.real}-wal") is None


def _found(path: str) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
