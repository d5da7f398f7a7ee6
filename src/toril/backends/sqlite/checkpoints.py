"""Checkpoints: moves the log's pages into the file without holding up the writer.

SQLite would do it within a commit, and that commit would take as long as the disk needs for some
megabytes. Here a thread does it. It moves most pages while the writer goes on, and the rest while
the writer waits. Only after a checkpoint of the whole log is the log reused from its start.

Writers of other processes do not wait for this, and on a slow disk they keep adding to the log. So
once the log has half of its largest size, the thread takes the file's own lock for the rest
(`RESTART`). No process writes meanwhile, and the next one that does reuses the log. At its largest
size, for example because somebody keeps reading from the log, the writer moves pages too, when the
thread does not.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import apsw

from toril.backends.forks import FORKS
from toril.backends.sqlite.connection import connect_reader
from toril.backends.sqlite.files import StoreFile
from toril.backends.sqlite.fork_safe import ForkSafeConnection
from toril.core.errors import BackendError
from toril.core.loggers import logger

log = logger("toril.sqlite")

START_PAGES = 2_000
"""Pages in the log from which on the thread moves them: 8 MiB."""
MOST_PAGES = 8_000
"""Pages from which on the writer moves them: 32 MiB. A disk needs that much beside the file."""
PAUSE_S = 0.000_5
"""Between two tries for a lock, in seconds."""
PATIENCE_S = 0.25
"""Longest wait for the file's lock, and then for readers of the log, in seconds. Other processes
may have to wait for as long."""


class Checkpointer:
    """The checkpoint thread of one process."""

    def __init__(self, path: str, turn: ForkSafeConnection, file: StoreFile) -> None:
        """Make a checkpointer.

        Parameters:
            path: The file.
            turn: The writer's connection: held by whoever uses it.
            file: The same file, for its locks.
        """
        self._path = path
        self._file = file
        self._closed = False
        self._turn = turn
        self._kept = ForkSafeConnection(path, ForkSafeConnection.CHECKPOINTS, self._connect)
        self._give_up_s = 0.0
        self.renew()
        FORKS.tell(self)

    def renew(self) -> None:
        """Begin without a thread. In a forked child too, which has none."""
        self._long = threading.Event()
        self._thread: threading.Thread | None = None
        self._pages = 0
        self._next_pages = 0
        """From how many pages on to try again, after a try that left some in the log."""

    def attach(self, writer: apsw.Connection) -> None:
        """Count the commits of the writer's connection, in the place of SQLite's own counting."""
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
            with suppress(apsw.BusyError, apsw.LockedError), self._file.moving() as alone:
                if alone:  # and the thread is not at it
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
            while True:
                self._long.wait()
                if self._closed:
                    return
                try:
                    # By statement: the call of that name does nothing over a connection that has
                    # read nothing yet, and says so only by returning -1.
                    with self._kept, self._file.moving() as alone:
                        if alone:
                            connection = self._kept.connection()
                            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                            with self._turn:
                                self._move_rest(connection)
                except (apsw.BusyError, apsw.LockedError):
                    pass  # another process is at it, which serves as well
                except (apsw.Error, BackendError) as error:
                    log.warning("%s: its log could not be moved into it: %s", self._path, error)
                self._long.clear()
                if self._closed:  # the end may have been said in between, and cleared
                    return
        finally:
            with self._kept:
                self._kept.put_away()

    def _connect(self) -> apsw.Connection:
        connection = connect_reader(self._path)
        connection.set_busy_handler(self._wait)
        return connection

    def _move_rest(self, connection: apsw.Connection) -> None:
        """Move what the writer has added meanwhile. Only while this process does not write."""
        guard = self._file.guard
        if not self.behind or guard is None:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        elif guard.hold(self._wait):
            try:
                connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            finally:
                guard.let()

    def _wait(self, tries: int) -> bool:
        """Wait a little for a lock; whether to go on with that."""
        if FORKS.pending:  # a fork waits for us
            return False
        now_s = time.monotonic()
        if tries == 0:
            self._give_up_s = now_s + PATIENCE_S
        time.sleep(PAUSE_S)
        return now_s < self._give_up_s
