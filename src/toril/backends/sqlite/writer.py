"""The one connection of a process that writes. Pieces of work share transactions (group commit).

All work that arrives while a transaction commits shares the next transaction, and so one wait for
the disk. No work waits for more to arrive: without load, a transaction holds one piece of work. The
writer's thread does it, or the caller's own (`at_once`) where this delays nobody else.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

import apsw

from toril.backends.forks import FORKS
from toril.backends.sqlite.calendar import note_calendar
from toril.backends.sqlite.checkpoints import Checkpointer
from toril.backends.sqlite.connection import Patience, connect, prepare
from toril.backends.sqlite.files import StoreFile
from toril.backends.sqlite.fork_safe import ForkSafeConnection
from toril.backends.sqlite.guards import Guard
from toril.backends.sqlite.migrate import migrate
from toril.backends.sqlite.remembered import Remembered
from toril.backends.sqlite.replies import translate
from toril.backends.sqlite.signal import Signal
from toril.backends.sqlite.transaction import Transaction
from toril.backends.sqlite.urls import Durability
from toril.backends.sqlite.works import Work, deliver, set_results
from toril.core.clock import Clock
from toril.core.errors import (
    BackendClosedError,
    BackendError,
    StoreBusyError,
    StoreFullError,
    TorilError,
)

T = TypeVar("T")

MAX_TOGETHER = 256
"""Pieces of work in one transaction."""
MAX_HOLD_S = 0.02
"""How long a transaction takes on more work: other processes wait for the lock meanwhile."""
MOST_PAUSE_S = 0.000_5
"""How long the disk may take, of late, for an event loop to wait for it by itself."""

FEW_CHANGES = 50
"""Rows of a transaction whose commit tells how quick the disk is: much to write takes long."""
LOOK_S = 0.02
"""How long a look waits for its turn."""


class Writer:
    """The thread, its connection and its queue of work."""

    def __init__(
        self,
        path: str,
        file: StoreFile | None,
        *,
        clock: Clock,
        durability: Durability,
        work: Signal,
        news: Signal,
    ) -> None:
        """Make a writer and open its connection.

        Parameters:
            path: The file, or `:memory:`.
            file: Opens the file. None: in memory.
            clock: What time it is.
            durability: What a commit survives.
            work: Rung when there may be a job to claim.
            news: Rung when a queue has told an event.

        Raises:
            apsw.Error: The file cannot be opened.
            BackendError: The same, with its reason.
        """
        self._path = path
        self._file = file
        self._clock = clock
        self._full = durability == "full" and file is not None
        self._durability = durability
        self._last_times: dict[str, int] = {}
        self._work_signal = work
        self._news_signal = news
        self._closed = False
        self._patience = Patience()
        self._opened = 0
        """How often the connection was opened."""
        self._looked = -1
        if file is None:
            self._turn = ForkSafeConnection(path, ForkSafeConnection.WRITES, self._connect)
        else:
            self._turn = ForkSafeConnection(
                path, ForkSafeConnection.WRITES, self._connect, file.close
            )
        self.checkpointer = None if file is None else Checkpointer(path, self._turn, file)
        self.renew()
        self._open()
        FORKS.tell(self)

    def renew(self) -> None:
        """Begin without a thread and without work. In a forked child too, which has neither."""
        self._waiting: SimpleQueue[Work | None] = SimpleQueue()
        self._handed = 0
        """Works that the thread was given and has not ended."""
        self._door = threading.Lock()  # nothing may be put behind the mark that ends the thread
        self._thread: threading.Thread | None = None

    def _open(self) -> None:
        """Open the connection, again if it gave way to a fork."""
        while True:
            mark = FORKS.mark()
            try:
                with self._turn:
                    self._turn.connection()
                return
            except apsw.BusyError:
                if not FORKS.disturbed(mark):
                    raise
                FORKS.let_by()

    def _connect(self) -> apsw.Connection:
        if self._file is None:
            connection = connect(self._path)
            prepare(connection, durability=self._durability)
            migrate(connection)
        else:
            connection = self._file.connect()
        connection.set_busy_handler(self._patience)
        self._note_calendar(connection)
        if self.checkpointer is not None:
            self.checkpointer.attach(connection)
        # What is known of another connection says nothing of this one.
        self._opened += 1
        self._synchronous_full = self._durability == "full"
        self._remembered: Remembered = Remembered()
        self._commit_s = math.inf
        """How long the disk took of late for a commit; not known before the first."""
        return connection

    def _note_calendar(self, connection: apsw.Connection) -> None:
        guard = self.guard
        if guard is None:
            note_calendar(connection, self._clock)
        elif guard.hold(self._patience):
            try:
                if guard.pin():  # it has read the file already, so its index is in order
                    note_calendar(connection, self._clock)
            finally:
                guard.let()

    @property
    def guard(self) -> Guard | None:
        """The locks on the file, while it is open."""
        return None if self._file is None else self._file.guard

    async def run(
        self,
        transition: Callable[[Transaction], T],
        *,
        durable: bool = True,
        at_once: bool = False,
    ) -> T:
        """Run a transition in the next transaction and return what it returns.

        Parameters:
            transition: What to do.
            durable: Whether the answer must survive a loss of power. False for what is redone
                anyway, such as a claim.
            at_once: Whether the event loop may do it by itself, since it has nothing else to do. It
                does if nobody else writes and the disk is quick; and returns without a pause then.
        """
        return await self.start(transition, durable=durable, at_once=at_once)

    def start(
        self,
        transition: Callable[[Transaction], T],
        *,
        durable: bool = True,
        at_once: bool = False,
    ) -> asyncio.Future[T]:
        """The same without waiting: return the future of the result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        work = Work(transition, durable, future, loop)
        if at_once and self._do_at_once(work):
            set_results([work])
        else:
            self._put(work)
        return future

    def run_blocking(self, transition: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """The same for a thread that may wait."""
        future: Future[T] = Future()
        self._put(Work(transition, durable, future, None))
        return future.result()

    def look(self) -> int:
        """Return a number that differs once another connection has written. Ours do not count."""
        if not self._turn.acquire(timeout=LOOK_S):
            return self._looked  # the next look will tell
        try:
            if not self._closed:
                version: int = self._turn.connection().pragma("data_version")
                self._looked = (self._opened << 32) + version  # of each connection its own
        except (apsw.Error, BackendError):  # those who wait find out by their own calls
            self._looked = -1
        finally:
            self._turn.release()
        return self._looked

    def close(self) -> None:
        """Finish what is waiting, end the thread, close the connection."""
        with self._door:
            thread = self._thread
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        if thread is not None:
            thread.join()
        with self._turn:
            self._turn.put_away()

    def _put(self, work: Work) -> None:
        with self._door:
            if self._closed:
                raise BackendClosedError(f"{self._path}: the store was closed")
            self._handed += 1
            self._waiting.put(work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="toril-sqlite", daemon=True)
                self._thread.start()

    def _do_at_once(self, work: Work) -> bool:
        """Do a work on the thread that asks for it, unless it might have to wait; say whether.

        Waiting costs less than the way to the thread and back, two wake-ups and a wrestle for the
        interpreter lock, as long as the disk is quick.
        """
        # Nothing overtakes what the thread was given before, by the same caller perhaps.
        if self._handed or (work.durable and self._full and self._commit_s > MOST_PAUSE_S):
            return False
        if self.checkpointer is not None and self.checkpointer.behind:
            return False
        if not self._turn.acquire(blocking=False):
            return False
        self._turn.holder = threading.get_ident()
        try:
            if self._closed or not self._turn.is_open:
                return False
            self._patience.none = True
            self._attempt([work], at_once=True)
        except Exception:  # another process writes, the disk is full: the thread copes with it
            self._roll_back()
            return False
        except BaseException:  # Ctrl-C, on the main thread: it must not leave half of it behind
            self._roll_back()
            raise
        finally:
            self._patience.none = False
            self._turn.holder = 0
            self._turn.release()
        return True

    def _run(self) -> None:
        open_ = True
        while open_:
            group: list[Work] = []
            work = self._waiting.get()
            while work is not None:
                group.append(work)
                if len(group) == MAX_TOGETHER:
                    break
                try:
                    work = self._waiting.get_nowait()
                except Empty:
                    break
            open_ = work is not None
            while group:
                with self._turn:
                    done = self._transact(group)
                if done == 0:
                    FORKS.let_by()
                    continue
                with self._door:
                    self._handed -= done
                deliver(group[:done])
                del group[:done]

    def _transact(self, group: list[Work]) -> int:
        """Run the first works of a group together; return how many.

        At least one, or none if it gave way to a fork: then the group is to be run again.
        """
        mark = FORKS.mark()
        try:
            return self._attempt(group)
        except Exception:
            self._roll_back()
        error = group[0].error
        if isinstance(error, StoreBusyError) and FORKS.disturbed(mark):
            return 0
        if isinstance(error, StoreFullError):
            self._empty_log()
        elif len(group) == 1 or isinstance(error, StoreBusyError):
            # A lock is nobody's fault, and each would wait for it as long as all did.
            return len(group)
        # One of them spoiled it for all: run each on its own, so that only that one fails.
        for done, work in enumerate(group):
            try:
                self._attempt([work])
            except Exception:
                self._roll_back()
                if isinstance(work.error, StoreBusyError) and FORKS.disturbed(mark):
                    return done
        return len(group)

    def _attempt(self, group: list[Work], *, at_once: bool = False) -> int:
        done = 0
        try:
            connection = self._turn.connection()
            changes = connection.total_changes()
            self._set_synchronous(connection, any(work.durable for work in group))
            self._begin(connection)
            transaction = Transaction(
                connection,
                self._clock,
                self._last_times,
                self._remembered,
                at_once=at_once,
            )
            until_s = time.monotonic() + MAX_HOLD_S
            for work in group:
                work.error = None
                try:
                    work.result = work.transition(transaction)
                except TorilError as error:
                    work.error = error
                done += 1
                if time.monotonic() > until_s:
                    break
            transaction.flush()
            if self._file is not None:
                self._file.place.check()
            self._commit(connection, measured=connection.total_changes() - changes <= FEW_CHANGES)
            self._remembered.committed(connection)
        except Exception as error:
            reason = translate(error, self._path) if isinstance(error, apsw.Error) else error
            for work in group:
                work.error = reason
            raise
        if transaction.readied:
            self._work_signal.ring()
        if transaction.spoke:
            self._news_signal.ring()
        return done

    def _begin(self, connection: apsw.Connection) -> None:
        """Begin a transaction, as the only one of all processes."""
        # Before SQLite's own lock, with which it also decides what is the newest commit: if that
        # lock was dropped from under another process, that one may be about to commit.
        guard = self.guard
        if guard is not None and not guard.hold(self._patience):
            raise apsw.BusyError("another process writes")
        tries = 0
        while True:
            connection.execute("BEGIN IMMEDIATE")
            if guard is None or guard.pin():
                return
            connection.execute("ROLLBACK")
            if not self._patience(tries):
                raise apsw.BusyError("another program rebuilds the index of the log")
            tries += 1

    def _commit(self, connection: apsw.Connection, *, measured: bool) -> None:
        begin_s = time.monotonic()
        connection.execute("COMMIT")
        if self._file is not None and (guard := self.guard) is not None:
            guard.let()
            if not guard.holds:
                self._file.place.check()  # nothing kept others from removing the log meanwhile
        if not measured or not self._synchronous_full:
            return
        took_s = min(time.monotonic() - begin_s, 4 * MOST_PAUSE_S)
        usual_s = self._commit_s
        # An average of some eight commits, in which one that stumbles does not decide.
        self._commit_s = took_s if usual_s == math.inf else usual_s + (took_s - usual_s) / 8

    def _roll_back(self) -> None:
        if not self._turn.is_open:  # it could not be opened
            return
        connection = self._turn.connection()
        if connection.in_transaction:
            with suppress(apsw.Error):  # the error that led here is the one to tell
                connection.execute("ROLLBACK")
        if (guard := self.guard) is not None:
            guard.let()

    def _empty_log(self) -> None:
        """Give the log's room on the disk back: its pages are in the file then, once each."""
        guard = self.guard
        if guard is None:
            return
        with guard.moving() as alone, suppress(apsw.Error):
            if alone and guard.hold(self._patience) and guard.pin():
                # No room for that either, or somebody reads from it: then it stays.
                connection = self._turn.connection()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        guard.let()

    def _set_synchronous(self, connection: apsw.Connection, durable: bool) -> None:
        want_full = self._full and durable
        if want_full != self._synchronous_full:
            connection.execute(
                "PRAGMA synchronous = FULL" if want_full else "PRAGMA synchronous = NORMAL"
            )
            self._synchronous_full = want_full
