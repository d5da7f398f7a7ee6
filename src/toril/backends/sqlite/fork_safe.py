"""A connection that is closed before this process forks, and opened again when it is needed.

SQLite keeps a list of its files and locks, one for each process. A forked child gets a copy of that
list, but not the locks: the kernel leaves them to the parent. The child's own connections would
count on locks that nobody holds: other processes take the file for unused and remove its log while
the child writes to it, or the child waits for ever for a transaction that only its parent can end.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import apsw

from toril.backends.forks import FORKS
from toril.core.errors import BackendError

INTERRUPT_S = 0.05
"""How long a fork waits for a query before it interrupts it. The query is run again later."""

_serial = itertools.count()
_PARENTS: list[apsw.Connection] = []
"""Connections inherited through a fork. They are the parent's: never use or close them here."""


class ForkSafeConnection:
    """One connection and its lock. Closed before a fork, and opened again when it is needed.

    Hold it (`with kept:`, or `acquire`) while you use `connection()`.
    """

    CHECKPOINTS, READS, WRITES = range(3)
    """What a connection is for. Locks of several are taken in this order, by a fork as well."""

    def __init__(
        self,
        path: str,
        kind: int,
        connect: Callable[[], apsw.Connection],
        close: Callable[[apsw.Connection], None] = lambda connection: connection.close(True),
    ) -> None:
        """Make one, not open yet.

        Parameters:
            path: The file, or `:memory:`, which stays with the process that made it.
            kind: One of the above.
            connect: Opens a connection.
            close: Closes it.
        """
        self._path = path
        self._kind = kind
        self._connect = connect
        self._close = close
        self._open: apsw.Connection | None = None
        self._lost: str | None = None
        self._rests = False
        self._serial = next(_serial)
        self._lock = threading.Lock()
        self.acquire = self._lock.acquire
        self.release = self._lock.release
        self.holder = 0
        """The thread that holds it, while a signal handler could interrupt that thread and fork."""
        FORKS.enter(self)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the order in which a fork locks several."""
        return self._kind, self._serial

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, so that `connection()` takes no time."""
        return self._open is not None

    def connection(self) -> apsw.Connection:
        """Return the connection, opened if necessary. Only while you hold it.

        Raises:
            apsw.Error: It cannot be opened.
            BackendError: It cannot be opened, or belongs to the parent of this process.
        """
        if self._open is None:
            if self._lost is not None:
                raise BackendError(self._lost)
            FORKS.refuse_inherited(self._path)
            self.holder = threading.get_ident()
            try:
                self._open = self._connect()
            finally:
                self.holder = 0
        return self._open

    def put_away(self) -> None:
        """Close the connection, if it is open. Only while you hold it."""
        connection, self._open = self._open, None
        if connection is not None:
            self._close(connection)

    def rest(self, until_s: float) -> None:
        """Hold it for a fork and close the connection. Give up at `until_s` (steady clock)."""
        if self.holder == threading.get_ident():  # a signal's handler forks in mid-transaction
            return
        if not self.acquire(timeout=INTERRUPT_S):
            question = self._open
            if self._kind == self.READS and question is not None:
                with suppress(apsw.Error):  # it has just ended, and was closed
                    question.interrupt()
            if not self.acquire(timeout=max(0.0, until_s - time.monotonic())):
                return
        self._rests = True
        if self._path != ":memory:":
            with suppress(Exception):  # it is closed all the same; no room to tidy the log away
                self.put_away()

    def wake(self) -> None:
        """Release it after the fork, in the parent."""
        if self._rests:
            self._rests = False
            self.release()

    def renew(self) -> None:
        """Leave a connection that is still open to the parent. In the child."""
        self._lock = threading.Lock()
        self.acquire, self.release = self._lock.acquire, self._lock.release
        self._rests = False
        connection, self._open = self._open, None
        opening, self.holder = bool(self.holder), 0
        if connection is None and not opening:
            return
        if connection is not None:
            _PARENTS.append(connection)
        if self._path == ":memory:":
            self._lost = (
                "sqlite://:memory: belongs to the process that made it, and this is a fork of it:"
                " what it would add is never seen there. Use a file, or open a store of its own."
            )
        else:
            FORKS.refuse(self._path)
