"""Translates SQLite's errors into Toril's, which name the file and say what to do."""

from __future__ import annotations

import apsw

from toril.backends.sqlite.connection import reason
from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreBusyError,
    StoreCorruptError,
    StoreForeignError,
    StoreFullError,
    StoreReadOnlyError,
)


def translate(error: apsw.Error, path: str) -> BackendError:
    """Return the error that a caller should see for one of SQLite's."""
    match error:
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusyError(
                f"{path}: another process has held the file's lock for too long. Look for a stuck"
                " or stopped process that uses it; nothing was written."
            )
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return StoreReadOnlyError(f"{path}: cannot be written. {reason(path)}")
        case apsw.CantOpenError():
            return StoreReadOnlyError(f"{path}: cannot be opened. {reason(path)}")
        case apsw.FullError():
            return StoreFullError(
                f"{path}: no room is left. Nothing was written; make room and it goes on."
            )
        case apsw.CorruptError():
            return StoreCorruptError(
                f"{path}: the file is damaged ({error}). Stop its workers, keep a copy, and restore"
                " a backup or try `sqlite3 FILE .recover`; moved away with its -wal and -shm, a"
                " new one is made."
            )
        case apsw.NotADBError():
            return StoreForeignError(
                f"{path}: this is not an SQLite file, or its beginning is damaged. It was left as"
                " it is; choose another path, or restore a backup."
            )
        case apsw.ConnectionClosedError() | apsw.ThreadingViolationError():
            return BackendClosedError(f"{path}: the store was closed")
        case apsw.IOError():
            return BackendError(
                f"{path}: the disk refused a read or a write ({error}). Nothing was half done."
            )
    return BackendError(f"{path}: {type(error).__name__}: {error}")
