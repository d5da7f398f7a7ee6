"""Moves the log's pages into the file, beside the writer and not in its way.

SQLite would do it within a commit, and that commit would take as long as the disk needs for some
megabytes. Here a thread does it: nearly all beside the writer, then the rest, which the writer has
added meanwhile, in the writer's place. Only a log that was moved to its very end is begun anew.
Once it has become long all the same, the writer does it itself as soon as the thread is not at it.
"""

from __future__ import annotations

import threading
from contextlib import suppress

import apsw

from toril.backends.sqlite.connection import connect_reader
from toril.core.loggers import logger

log = logger("toril.sqlite")

START_PAGES = 2_000
"""Pages in the log from which on the thread moves them: 8 MiB."""
MOST_PAGES = 8_000
"""Pages from which on the writer moves them: 32 MiB. A disk needs that much beside the file."""


class Checkpointer:
    """The checkpoint thread of one process."""

    def __init__(self, path: str, writer: apsw.Connection, turn: threading.Lock) -> None:
        """Make a checkpointer and put it in the place of SQLite's own.

        Parameters:
            path: The file.
            writer: The writer's connection, whose commits are counted.
            turn: Held by whoever uses it.
        """
        self._path = path
        self._long = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._turn = turn
        self._pages = 0
        self._next_pages = 0
        """From how many pages on to try again, after a try that left some in the log."""
        writer.set_wal_hook(self._committed)

    @property
    def behind(self) -> bool:
        """Whether a commit may soon have to move the log by itself, and take long."""
        return self._pages >= MOST_PAGES // 2

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._long.set()
        if self._thread is not None:
            self._thread.join()

    def _committed(self, writer: apsw.Connection, name: str, pages: int) -> int:
        """Called by SQLite after each commit, on the thread that commits."""
        if pages < self._pages:  # begun anew
            self._next_pages = 0
        self._pages = pages
        if pages >= MOST_PAGES:
            with suppress(apsw.BusyError, apsw.LockedError):  # the thread is at it
                writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        elif (
            pages >= max(START_PAGES, self._next_pages)
            and not self._long.is_set()
            and not self._closed
        ):
            # A reader, or another process, may keep the log from its end: not at every commit then.
            self._next_pages = pages + START_PAGES // 4
            self._long.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="toril-checkpoints", daemon=True
                )
                self._thread.start()
        return apsw.SQLITE_OK

    def _run(self) -> None:
        try:
            connection = connect_reader(self._path)
        except apsw.Error as error:
            log.warning("%s: its log is moved into it by commits: %s", self._path, error)
            return
        try:
            while True:
                self._long.wait()
                if self._closed:
                    return
                try:
                    # By statement: the call of that name does nothing over a connection that has
                    # read nothing yet, and says so only by returning -1.
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                    with self._turn:
                        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                except (apsw.BusyError, apsw.LockedError):
                    pass  # another process is at it, which serves as well
                except apsw.Error as error:
                    log.warning("%s: its log could not be moved into it: %s", self._path, error)
                self._long.clear()
                if self._closed:  # the end may have been said in between, and cleared
                    return
        finally:
            connection.close()
