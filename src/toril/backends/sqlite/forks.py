"""Forks: a child of this process must inherit no open file of ours and no half-done transaction.

SQLite keeps a list of its files and locks, one for each process. A forked child gets a copy of that
list, but not the locks: the kernel gives them to the parent alone. The child's own connections then
count on locks that nobody holds. Other processes take the file for unused and remove its log while
the child writes to it, or the child waits for ever for a transaction that only its parent can end.

So all connections are closed before a fork, each at a moment when it has no transaction open, and
both sides open theirs again when they next need one (`Kept`).
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, Self

import apsw

from toril.core.errors import BackendError

WAIT_S = 30.0
"""How long a fork waits for transactions that are under way, in seconds. They take milliseconds."""
INTERRUPT_S = 0.05
"""How long a fork waits for a question before it interrupts it. It is asked again afterwards."""

_serial = itertools.count()


class Part(Protocol):
    """What has threads, locks or waiters, of which a forked child has none."""

    def renew(self) -> None:
        """Drop what the fork has copied. In the child, whose only thread calls this."""
        ...


class Kept:
    """One connection: whose turn it is to use it, closed for a fork and opened again when needed.

    Hold it (`with kept:`, or `acquire`) while you use `connection()`.
    """

    CHECKPOINTS, READS, WRITES = range(3)
    """What it is for. Who holds several takes them in this order, and so does a fork."""

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
        self._serial = next(_serial)
        self._lock = threading.Lock()
        self.acquire = self._lock.acquire
        self.release = self._lock.release
        self.holder = 0
        """The thread that holds it, where a signal's handler could come in between and fork."""
        FORKS.enter(self)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    @property
    def order(self) -> tuple[int, int]:
        """The order in which several are taken."""
        return self._kind, self._serial

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, so that `connection()` takes no time."""
        return self._open is not None

    def connection(self) -> apsw.Connection:
        """Return the connection, opened if it is not. Only for who holds it.

        Raises:
            apsw.Error: It cannot be opened.
            BackendError: It cannot be opened, or belongs to the parent of this process.
        """
        if self._open is None:
            if self._lost is not None:
                raise BackendError(self._lost)
            FORKS.notice_fork()
            FORKS.refuse_inherited(self._path)
            self.holder = threading.get_ident()
            try:
                self._open = self._connect()
            finally:
                self.holder = 0
        return self._open

    def put_away(self) -> None:
        """Close the connection, if it is open. Only for who holds it."""
        connection, self._open = self._open, None
        if connection is not None:
            self._close(connection)

    def rest(self, until_s: float) -> bool:
        """Take it for a fork and close it; say whether that was possible in time."""
        if self.holder == threading.get_ident():  # a signal's handler forks in mid-transaction
            return False
        if not self.acquire(timeout=INTERRUPT_S):
            question = self._open
            if self._kind == self.READS and question is not None:
                with suppress(apsw.Error):  # it has just ended, and was closed
                    question.interrupt()
            if not self.acquire(timeout=max(0.0, until_s - time.monotonic())):
                return False
        if self._path != ":memory:":
            with suppress(apsw.Error):  # it is closed all the same; no room to tidy the log away
                self.put_away()
        return True

    def renew(self) -> None:
        """Leave to the parent what is still open. In the child."""
        self._lock = threading.Lock()
        self.acquire, self.release = self._lock.acquire, self._lock.release
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


_PARENTS: list[apsw.Connection] = []
"""Connections that a fork has copied. They are the parent's: never used here, and never closed."""


class Forks:
    """All connections of this process, and what is done about them around a fork."""

    def __init__(self) -> None:
        self._kept: weakref.WeakSet[Kept] = weakref.WeakSet()
        self._parts: weakref.WeakSet[Part] = weakref.WeakSet()
        self._door = threading.Lock()  # held during a fork, so that no connection comes up
        self._under_way: dict[int, list[Kept]] = {}
        self._inherited: set[str] = set()
        self._pid = os.getpid()
        self.begun = 0
        """Forks that were begun. Who fails while it changes gave way to one, and may try again."""

    def enter(self, kept: Kept) -> None:
        """Close this one before forks from now on."""
        with self._door:
            self._kept.add(kept)

    def tell(self, part: Part) -> None:
        """Renew this part in forked children from now on."""
        with self._door:
            self._parts.add(part)

    @property
    def pending(self) -> bool:
        """Whether some thread waits for transactions to end, to fork: do not wait for a lock."""
        return bool(self._under_way)

    def let_by(self) -> None:
        """Wait until no thread is about to fork."""
        while self._under_way:
            time.sleep(0.001)  # rare and short, and a thread that is copied could not notify

    def notice_fork(self) -> None:
        """Do in the child what was left out by a fork that Python was not told of."""
        if self._pid != os.getpid():
            self.after_in_child()

    def refuse(self, path: str) -> None:
        """Open this file no more in this process."""
        self._inherited.add(os.path.realpath(path))

    def refuse_inherited(self, path: str) -> None:
        """Do nothing, unless this process has a copy of its parent's open connections to the file.

        Raises:
            BackendError: It has.
        """
        if self._inherited and os.path.realpath(path) in self._inherited:
            raise BackendError(
                f"{path}: was in use when this process was forked, and could not be closed before."
                " A copy of an open file cannot be used safely, so nothing was done. Call"
                " app.close_sync() before the fork, or start the process anew (spawn; uwsgi:"
                " lazy-apps)."
            )

    def before(self) -> None:
        """Close all connections, each between two transactions, and keep them closed."""
        me = threading.get_ident()
        held: list[Kept] = []
        self._under_way[me] = held
        self.begun += 1
        until_s = time.monotonic() + WAIT_S
        asked: set[Kept] = set()
        self._door.acquire()
        while new := [kept for kept in self._kept if kept not in asked]:
            self._door.release()
            for kept in sorted(new, key=lambda kept: kept.order):
                asked.add(kept)
                if kept.rest(until_s):
                    held.append(kept)
            self._door.acquire()

    def after_in_parent(self) -> None:
        """Let the others go on."""
        held = self._under_way.get(threading.get_ident())
        if held is None:
            return
        self._door.release()
        for kept in reversed(held):
            kept.release()
        del self._under_way[threading.get_ident()]

    def after_in_child(self) -> None:
        """Begin anew: no thread but this one is here, and no lock will ever be released."""
        self._door = threading.Lock()
        self._under_way = {}
        self._pid = os.getpid()
        for kept in list(self._kept):
            kept.renew()
        for part in list(self._parts):
            part.renew()


FORKS = Forks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORKS.before,
        after_in_parent=FORKS.after_in_parent,
        after_in_child=FORKS.after_in_child,
    )
