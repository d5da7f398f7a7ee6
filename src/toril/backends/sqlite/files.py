"""Opens and closes a store's file for writing, with its locks and its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

from toril.backends.sqlite.connection import connect, find_or_make, prepare, reason
from toril.backends.sqlite.file_watch import FileWatch
from toril.backends.sqlite.guards import GUARDS, Guard
from toril.backends.sqlite.migrate import migrate, refuse_newer
from toril.backends.sqlite.urls import FileOptions
from toril.core.errors import StoreLostError, StoreReadOnlyError


class StoreFile:
    """The file of one store. Opened and closed any number of times, by one thread at a time."""

    def __init__(self, path: str, options: FileOptions, *, create: bool) -> None:
        """Find the file, or make it.

        Raises:
            BackendError: It is not there or cannot be made; the message says why and what to do.
        """
        self._path = path
        self._options = options
        find_or_make(path, create=create, share=options.share)
        self.place = FileWatch(path)
        self.guard: Guard | None = None
        """The locks, while it is open."""

    @contextmanager
    def moving(self) -> Iterator[bool]:
        """Hold the lock of a checkpoint. Gives False if it is taken, or the file is closed."""
        guard = self.guard
        if guard is None:  # not open, or just being closed
            yield False
        else:
            with guard.moving() as alone:
                yield alone

    def connect(self) -> apsw.Connection:
        """Open it, and bring it to this version's schema.

        Raises:
            apsw.Error: It cannot be opened.
            BackendError: The same, with its reason.
        """
        self.place.check()  # what lies there by now may be another file
        file = self.place.file
        if file is None:
            raise StoreLostError(f"{self._path}: was removed while it was being opened.")
        try:
            guard = GUARDS.take(self.place.real, file)
        except OSError as error:
            raise StoreReadOnlyError(
                f"{self._path}: cannot be opened. {reason(self._path, error.errno)}"
            ) from error
        connection: apsw.Connection | None = None
        try:
            connection = connect(self._path)
            refuse_newer(connection, self._path)
            prepare(connection, durability=self._options.durability)
            migrate(connection)
            guard.lock()
            self.place.note_log()
            self.place.check()
        except BaseException:
            self.guard = guard
            self.close(connection)
            raise
        self.guard = guard
        return connection

    def close(self, connection: apsw.Connection | None) -> None:
        """Close it. The last process to do so moves the log into the file and removes it."""
        guard, self.guard = self.guard, None
        place = self.place
        # A log that was removed under us. Nobody else's work may be overwritten by what is in it:
        # it is moved into the file only if nobody can have begun another log since.
        leave = place.log_is_another() or (
            place.log_is_gone() and (guard is None or not guard.holds)
        )

        def end() -> None:
            if connection is not None:
                with suppress(apsw.Error):
                    if leave:
                        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                    connection.close(True)

        if guard is None or place.file is None:
            end()
        else:
            GUARDS.let_go(guard, place.file, end)
        place.forget_log()
