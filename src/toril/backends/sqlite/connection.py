"""Connections to the file, with every setting's reason."""

from __future__ import annotations

import errno
import os
import random
import time
from pathlib import Path

import apsw

from toril.backends.forks import FORKS
from toril.backends.sqlite.urls import Durability, Share
from toril.core.errors import StoreCorruptError, StoreForeignError, StoreReadOnlyError

APPLICATION_ID = 0x746F_7269
"""`tori`, in the file's header: what tells our files from other programs'."""

SMALLEST_BYTES = 512
"""The smallest page of an SQLite file, and so the smallest file."""

BUSY_S = 10.0
"""How long to wait for another process' transaction, in seconds. Ours take milliseconds."""

MODES: dict[Share, int] = {"owner": 0o600, "group": 0o660}

_PAUSE_S = 0.000_5


def find_or_make(path: str, *, create: bool, share: Share) -> None:
    """See to it that there is a file to open. One that is there stays as it is.

    Raises:
        StoreReadOnlyError: Its folder does not exist, or (without `create`) it does not; or it
            cannot be made.
        StoreForeignError: It is no file of ours.
        StoreCorruptError: The file is gone, and its log is not.
    """
    _check_place(path, create)
    if os.path.exists(path):
        return
    # By us and not by SQLite, whose new files everybody may read. The log and its index get the
    # rights of the file.
    mode = MODES[share]
    try:
        number = os.open(
            os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode
        )
    except FileExistsError:  # another process was faster
        return
    except OSError as error:
        raise StoreReadOnlyError(f"{path}: cannot be made. {reason(path, error.errno)}") from error
    try:
        if share != "owner":
            os.fchmod(number, mode)  # whatever the umask says: it was asked for
    finally:
        os.close(number)


def connect(path: str) -> apsw.Connection:
    """Open the file for writing and reading. It is not changed.

    Raises:
        apsw.Error: It cannot be opened.
        StoreForeignError: It is another program's.
    """
    flags = apsw.SQLITE_OPEN_READWRITE
    if path == ":memory:":
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


def prepare(connection: apsw.Connection, *, durability: Durability) -> None:
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
        if self.none or FORKS.pending:  # a fork waits for this transaction to end
            return False
        now_s = time.monotonic()
        if tries == 0:
            self.give_up_s = now_s + BUSY_S
        time.sleep(_PAUSE_S * (0.5 + random.random()))  # noqa: S311 - only to spread the tries
        return now_s < self.give_up_s


def reason(path: str, number: int | None = None) -> str:
    """Return why a file cannot be opened or written, and what to do.

    Parameters:
        path: The file.
        number: What the system said (`errno`), if it is known.
    """
    place = Path(path)
    folder = place.parent
    if number in (errno.EMFILE, errno.ENFILE):
        return "Too many files are open: raise the limit (ulimit -n)."
    if number in (errno.ENOSPC, errno.EDQUOT):
        return "No room is left on its disk: make room."
    try:
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return (
                f"The folder {str(folder)!r} is on a read-only file system: mount it for writing,"
                " or choose another place."
            )
        if place.exists() and not os.access(place, os.R_OK | os.W_OK):
            return f"Give this user ({_user()}) the right to read and write it."
        if not os.access(folder, os.W_OK | os.X_OK):
            return (
                f"Give this user ({_user()}) the right to write the folder {str(folder)!r}: SQLite"
                " puts two files beside it."
            )
    except FileNotFoundError:
        return f"The folder {str(folder)!r} does not exist. Make it, or correct the URL."
    except OSError as error:
        return f"{error.strerror}."
    detail = "" if number is None else f" (the system says: {os.strerror(number)})"
    return f"Give this user ({_user()}) the right to write it and the files beside it{detail}."


def _user() -> str:
    return f"uid {os.geteuid()}"
