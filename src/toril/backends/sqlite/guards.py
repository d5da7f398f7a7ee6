"""Locks on a store's files that only their holder can drop.

SQLite's locks are POSIX locks, which belong to the process. When any code in the process closes the
file, after whatever use (`open()`, a copy, another SQLite library such as `sqlite3`), the kernel
drops all of them silently. The next process that closes the file then believes to be the last one,
and removes the log, to which this process goes on writing.

Linux also has locks that belong to an open file description (OFD locks). They conflict with POSIX
locks as if another process held them. So a guard holds what matters once more:

* A shared lock where each connection to the file has one: no process believes to be the last one.
* The same on the log's index: no process believes it to be left over, and clears it.
* During a transaction one of our own (`hold`): two never write at once, even if SQLite's was lost.
* The same on the byte of the index that whoever rebuilds it has to lock (`pin`): another SQLite
  library of this process may meet the index in the midst of a commit, takes it for damaged, and is
  not held up by locks of its own process. It would write down again how the log was before.
* During a checkpoint another one (`moving`): no log is begun anew while one is still being read.

Without OFD locks, the store checks after each commit whether its log is still there.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from toril.backends.forks import FORKS
from toril.backends.sqlite.file_watch import Identity

SHARED, SHARED_BYTES = 0x4000_0002, 510
"""Where a connection to a file has its lock (sqlite.org/fileformat2.html, section 1.9)."""
INDEX_IN_USE = 128
"""The byte of the index that all who use it have locked (sqlite.org/walformat.html, 2.3.1)."""
INDEX_REBUILD = 122
"""The byte of the index that whoever rebuilds it has locked for itself (the same section)."""
WRITING = 0x4000_0400
"""Our own byte, held during a transaction. It is in the page that SQLite reserves for locks, behind
SQLite's own."""
MOVING = WRITING + 1
"""Our own byte, held while the log is moved into the file."""

_SET: int | None = getattr(fcntl, "F_OFD_SETLK", None)


def _lock(kind: int, start: int, many: int) -> bytes:
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, many, 0)


_SHARE = _lock(fcntl.F_RDLCK, SHARED, SHARED_BYTES)
_SHARE_INDEX = _lock(fcntl.F_RDLCK, INDEX_IN_USE, 1)
_PIN = _lock(fcntl.F_RDLCK, INDEX_REBUILD, 1)
_UNPIN = _lock(fcntl.F_UNLCK, INDEX_REBUILD, 1)
_WRITE = _lock(fcntl.F_WRLCK, WRITING, 1)
_END = _lock(fcntl.F_UNLCK, WRITING, 1)
_MOVE = _lock(fcntl.F_WRLCK, MOVING, 1)
_END_MOVE = _lock(fcntl.F_UNLCK, MOVING, 1)
_NONE = _lock(fcntl.F_UNLCK, 0, 0)


class Guard:
    """The locks of one store."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._index: int | None = None
        self._moving = threading.Lock()
        # Ready to be called: each transaction does.
        self._take: Callable[[], object] | None = None
        self._drop: Callable[[], object] | None = None
        self._pin: Callable[[], object] | None = None
        self._unpin: Callable[[], object] | None = None
        self.holds = False
        """Whether they are held. False: the system, or its file system, has no OFD locks."""

    def lock(self) -> None:
        """Take the locks, once a connection has opened the file and its log."""
        if _SET is None:
            return
        try:
            fcntl.fcntl(self._file, _SET, _SHARE)
            if self._index is not None and self._is_outdated(self._index):
                os.close(self._index)
                self._index = None
            if self._index is None:
                self._index = os.open(f"{self.path}-shm", os.O_RDWR | os.O_CLOEXEC)
            fcntl.fcntl(self._index, _SET, _SHARE_INDEX)
        except OSError:
            self.unlock()
        else:
            self.holds = True
            self._take = partial(fcntl.fcntl, self._file, _SET, _WRITE)
            self._drop = partial(fcntl.fcntl, self._file, _SET, _END)
            self._pin = partial(fcntl.fcntl, self._index, _SET, _PIN)
            self._unpin = partial(fcntl.fcntl, self._index, _SET, _UNPIN)

    def unlock(self) -> None:
        """Drop the locks, so that SQLite's last connection may remove the log."""
        self.holds, self._take, self._drop, self._pin, self._unpin = False, None, None, None, None
        for number in (self._file, self._index):
            if number is not None and _SET is not None:
                with suppress(OSError):
                    fcntl.fcntl(number, _SET, _NONE)

    def hold(self, patience: Callable[[int], bool]) -> bool:
        """Take the lock of a transaction.

        Parameters:
            patience: Called while another process has it, with the number of tries so far. Waits a
                little, and returns whether to try again.

        Returns:
            Whether it is held now.
        """
        take, tries = self._take, 0
        while take is not None:
            try:
                take()
            except BlockingIOError:
                if not patience(tries):
                    return False
                tries += 1
            else:
                break
        return True

    def pin(self) -> bool:
        """Keep everybody from rebuilding the index of the log, until `let`.

        Only in a transaction that has begun: to begin one may need the index to be rebuilt, after
        a process was killed in the midst of a commit.

        Returns:
            False: somebody rebuilds it right now, so that the transaction may have begun on what
            is about to change.
        """
        if (pin := self._pin) is not None:
            try:
                pin()
            except BlockingIOError:
                return False
        return True

    def let(self) -> None:
        """Drop the locks of a transaction."""
        if (unpin := self._unpin) is not None:
            unpin()
        if (drop := self._drop) is not None:
            drop()

    @contextmanager
    def moving(self) -> Iterator[bool]:
        """Hold the lock of a checkpoint. Gives False if another thread or process has it."""
        if not self._moving.acquire(blocking=False):  # the lock is the file's, not the thread's
            yield False
            return
        try:
            yield self._set(_MOVE)
        finally:
            self._set(_END_MOVE)
            self._moving.release()

    def close(self) -> None:
        """Close the guard's own files. Only while this process has no connection to the file."""
        os.close(self._file)
        if self._index is not None:
            os.close(self._index)

    def _set(self, lock: bytes) -> bool:
        if not self.holds or _SET is None:
            return True
        try:
            fcntl.fcntl(self._file, _SET, lock)
        except BlockingIOError:
            return False
        return True

    def _is_outdated(self, index: int) -> bool:
        """Whether the open index is no longer the one beside the file."""
        try:
            return not os.path.samestat(os.fstat(index), os.stat(f"{self.path}-shm"))
        except OSError:
            return True


class Guards:
    """The guards of this process, by file.

    An idle guard stays open until no store has its file open: closing it sooner would drop the
    POSIX locks of the other stores' connections.
    """

    def __init__(self) -> None:
        self.renew()
        FORKS.tell(self)

    def renew(self) -> None:
        """Start without guards. In a forked child too: the copies are its parent's."""
        self._lock = threading.Lock()
        self._in_use: dict[Identity, int] = {}
        self._idle: dict[Identity, list[Guard]] = {}

    def take(self, path: str, file: Identity) -> Guard:
        """Return a guard for a store that is about to open a file. It is not locked."""
        with self._lock:
            idle = self._idle.setdefault(file, [])
            guard = idle.pop() if idle else Guard(path)
            guard.path = path
            self._in_use[file] = self._in_use.get(file, 0) + 1
            return guard

    def let_go(self, guard: Guard, file: Identity, close: Callable[[], None]) -> None:
        """Unlock a guard, call `close` for the store's last connection, and keep the guard idle."""
        with self._lock:
            guard.unlock()
            try:
                close()
            finally:
                self._in_use[file] -= 1
                self._idle[file].append(guard)
                if self._in_use[file] == 0:
                    del self._in_use[file]
                    for idle in self._idle.pop(file):
                        idle.close()


GUARDS = Guards()
