"""Connections to the file, with every setting's reason."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Literal

import apsw

from toril.core.errors import (
    BackendError,
    StoreCorruptError,
    StoreForeignError,
    StoreReadOnlyError,
)

APPLICATION_ID = 0x746F_7269
"""`tori`, in the file's header: what tells our files from other programs'."""

SMALLEST_BYTES = 512
"""The smallest page of an SQLite file, and so the smallest file."""

BUSY_S = 10.0
"""How long to wait for another process' transaction, in seconds. Ours take milliseconds."""

_PAUSE_S = 0.000_5


def connect(path: str, *, create: bool) -> apsw.Connection:
    """Open the file for writing and reading. It is not changed.

    Raises:
        apsw.Error: It cannot be opened.
        StoreReadOnlyError: Its folder does not exist, or (without `create`) it does not.
        StoreForeignError: It is another program's.
        StoreCorruptError: The file is gone, and its log is not.
    """
    flags = apsw.SQLITE_OPEN_READWRITE
    if path != ":memory:":
        _check_place(path, create)
    if create or path == ":memory:":
        flags |= apsw.SQLITE_OPEN_CREATE
    connection = apsw.Connection(path, flags)
    try:
        _keep_plans(connection)
        connection.set_busy_handler(Patience())
        _check_owner(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def prepare(connection: apsw.Connection, *, durability: Literal["full", "normal"]) -> None:
    """Make the settings of a connection that writes."""
    _write_ahead(connection)
    # FULL: the log is on the disk before a commit returns. NORMAL: at checkpoints only.
    connection.execute(
        "PRAGMA synchronous = FULL" if durability == "full" else "PRAGMA synchronous = NORMAL"
    )
    connection.execute("PRAGMA foreign_keys = OFF")  # the transitions keep them, at no cost
    connection.execute("PRAGMA cache_size = -16384")  # 16 MiB: both ends of a long backlog
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA journal_size_limit = 67108864").fetchall()


def _write_ahead(connection: apsw.Connection) -> None:
    """Keep a log: readers go on during a write, and a commit is one append."""
    patience, tries = Patience(), 0
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except apsw.BusyError:
            # Two that make a new file at once would wait for each other for ever, so SQLite does
            # not ask the busy handler here but lets one of them fail at once.
            if not patience(tries):
                raise
            tries += 1
        else:
            return


def connect_reader(path: str) -> apsw.Connection:
    """Open the file for reading beside a connection that is open already."""
    # Not SQLITE_OPEN_READONLY: the last one to close must be able to tidy the log away.
    connection = apsw.Connection(path, apsw.SQLITE_OPEN_READWRITE)
    _keep_plans(connection)
    connection.set_busy_handler(Patience())
    connection.execute("PRAGMA query_only = ON")
    return connection


def _keep_plans(connection: apsw.Connection) -> None:
    """Plan each statement once.

    Where a value might decide whether a partial index will do, SQLite plans anew each time the
    value changes, which takes several times as long as the statement. No plan of ours depends on
    one: an index' condition stands in the statement as it does in the index.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)


class Place:
    """The file that was opened, told from another one that its path leads to by now.

    A file that was deleted or moved stays usable for those who have it open: without a look, what
    they write is acknowledged and lost.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._opened = self._found()

    def check(self) -> None:
        """Do nothing if the path still leads to the file.

        Raises:
            BackendError: It leads to none, or to another.
        """
        if self._found() != self._opened:
            raise BackendError(
                f"{self._path}: the file was deleted, moved or replaced while it was in use."
                " Nothing was written; put it back, or start this process anew."
            )

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _check_place(path: str, create: bool) -> None:
    place = Path(path)
    if not place.parent.is_dir():
        raise StoreReadOnlyError(
            f"{path}: the folder {str(place.parent)!r} does not exist. Make it, or correct the URL."
        )
    if place.is_dir():
        raise StoreForeignError(f"{path}: this is a folder; give the path of a file in it.")
    # SQLite takes a file of a few bytes for an empty database, and writes over it. Judged by its
    # size: to open and close the file here would drop the locks of connections that are open
    # already (sqlite.org, "How To Corrupt An SQLite Database File", section 2.2).
    if place.is_file() and 0 < place.stat().st_size < SMALLEST_BYTES:
        raise StoreForeignError(
            f"{path}: this is not an SQLite file, or its beginning is damaged. It was left"
            " as it is; choose another path, or restore a backup."
        )
    # The log first: whoever makes a file anew makes the log after it.
    rests = [rest for rest in (f"{path}-wal", f"{path}-shm") if Path(rest).exists()]
    if rests and not place.exists():
        raise StoreCorruptError(
            f"{path}: the file is gone, and {' and '.join(rests)} are still there: it was moved or"
            " deleted while it was in use, or without them. They may hold jobs that were"
            " acknowledged. Put the file back beside them; or, to begin with an empty one, end its"
            " workers and move these away too."
        )
    if not create and not place.exists():
        raise StoreReadOnlyError(
            f"{path}: there is no such file. Start a worker or add a job first, or give --url."
        )


def _check_owner(connection: apsw.Connection, path: str) -> None:
    """Refuse files of other programs before anything is changed in them."""
    # In this order: whoever makes the file right now writes both at once, so that what has tables
    # has its owner by the time of the second look. The other way round it was taken for foreign.
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
    owner = connection.execute("PRAGMA application_id").fetchall()[0][0]
    if owner != APPLICATION_ID and (owner != 0 or tables != 0):
        raise StoreForeignError(
            f"{path}: this database belongs to another program. Give Toril a file of its own;"
            " this one was left as it is."
        )


class Patience:
    """Wait for a lock in short steps. SQLite's own handler soon sleeps for 100 ms at a time."""

    def __init__(self) -> None:
        self.none = False
        """Do not wait at all."""
        self.give_up_s = 0.0

    def __call__(self, tries: int) -> bool:
        if self.none:
            return False
        now_s = time.monotonic()
        if tries == 0:
            self.give_up_s = now_s + BUSY_S
        time.sleep(_PAUSE_S * (0.5 + random.random()))  # noqa: S311 - only to spread the tries
        return now_s < self.give_up_s
