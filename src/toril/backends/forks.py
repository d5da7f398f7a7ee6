"""Closes the stores of this process before it forks, and renews what a child has copied.

A child must inherit no open file of a store and no half-done transaction. So each store ends its
transaction and closes its file before the fork. Parent and child open it again at their next call.
A connection to a server is left to the parent: closing its copy would end the parent's session.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import Protocol

from toril.core.errors import BackendError

WAIT_S = 30.0
"""Longest wait of a fork for transactions in flight, in seconds. They take milliseconds."""


class Part(Protocol):
    """Something with threads, locks or waiters. A forked child gets copies of no use."""

    def renew(self) -> None:
        """Drop the copies. Called in the child, by its only thread."""
        ...


class Resting(Part, Protocol):
    """Something that must not be in use during a fork."""

    @property
    def order(self) -> tuple[int, int]:
        """Its place in the order in which a fork locks several."""
        ...

    def rest(self, until_s: float) -> None:
        """Lock it and close its file. Give up at `until_s` (steady clock)."""
        ...

    def wake(self) -> None:
        """Unlock it in the parent, if `rest` has locked it."""
        ...


@dataclass(slots=True)
class _Fork:
    """What a fork in progress has locked."""

    resting: list[Resting] = field(default_factory=list)
    door: bool = False
    importing: bool = False


class Forks:
    """All stores of this process. Python calls this around each fork."""

    def __init__(self) -> None:
        self._resting: weakref.WeakSet[Resting] = weakref.WeakSet()
        self._parts: weakref.WeakSet[Part] = weakref.WeakSet()
        self._door = threading.Lock()  # held during a fork, so that no store comes up
        self._under_way: dict[int, _Fork] = {}
        """Forks in progress, by the thread that forks."""
        self.importing = threading.RLock()
        """Held while the modules of a store are imported at its first use."""
        self._inherited: set[str] = set()
        self._of_parents: list[object] = []
        self.pid = os.getpid()
        """The process for which all stores are fit: another one has been forked from it."""
        self._begun = 0
        """How many forks have begun."""

    def enter(self, one: Resting) -> None:
        """Put a store to rest before each fork from now on."""
        self.notice()
        with self._door:
            self._resting.add(one)

    def tell(self, part: Part) -> None:
        """Renew a part in each forked child from now on."""
        with self._door:
            self._parts.add(part)

    @property
    def pending(self) -> bool:
        """Whether a thread waits for transactions to end so that it can fork: wait for no lock."""
        return bool(self._under_way)

    def mark(self) -> int:
        """Return what to ask `disturbed` with, before a call that gives way to forks."""
        # One that is under way may disturb the call as well: it waits for it to end.
        return self._begun - bool(self._under_way)

    def disturbed(self, mark: int) -> bool:
        """Whether a fork was under way since the mark: if the call failed, try it again."""
        return self._begun != mark

    def let_by(self) -> None:
        """Wait until no fork is in progress."""
        while self._under_way:
            time.sleep(0.001)  # rare and short, and a thread that is copied could not notify

    def refuse(self, path: str) -> None:
        """Never open this file again in this process."""
        self._inherited.add(os.path.realpath(path))

    def refuse_inherited(self, path: str) -> None:
        """Refuse a file if this process has inherited open connections to it from its parent.

        Raises:
            BackendError: It has inherited some.
        """
        if self._inherited and os.path.realpath(path) in self._inherited:
            raise BackendError(
                f"{path}: was in use when this process was forked, and could not be closed before."
                " A copy of an open file cannot be used safely, so nothing was done. Call"
                " app.close_sync() before the fork, or start the process anew (spawn; uwsgi:"
                " lazy-apps)."
            )

    def before(self) -> None:
        """Put all stores to rest, each between two transactions, until the fork is done."""
        until_s = time.monotonic() + WAIT_S
        # Noted before it is taken: Ctrl-C may cut this short, and the fork comes all the same.
        fork = self._under_way[threading.get_ident()] = _Fork()
        self._begun += 1
        # A module that is half imported in one thread stays so in the child, for ever.
        fork.importing = self.importing.acquire(timeout=WAIT_S)
        asked: set[Resting] = set()
        while not fork.door:
            self._door.acquire()
            new = [one for one in self._resting if one not in asked]
            if not new:
                fork.door = True
                return
            self._door.release()
            for one in sorted(new, key=lambda one: one.order):
                asked.add(one)
                fork.resting.append(one)
                one.rest(until_s)

    def after_in_parent(self) -> None:
        """Unlock everything that this fork has locked."""
        fork = self._under_way.pop(threading.get_ident(), None)
        if fork is None:
            return
        if fork.door:
            self._door.release()
        for one in reversed(fork.resting):
            one.wake()
        if fork.importing:
            self.importing.release()

    def after_in_child(self) -> None:
        """Renew everything: no other thread exists here, so nobody would release a lock."""
        self._door = threading.Lock()
        self.importing = threading.RLock()
        self._under_way = {}
        self.pid = os.getpid()
        for one in list(self._resting):
            one.renew()
        for part in list(self._parts):
            part.renew()

    def notice(self) -> None:
        """Run `after_in_child` if the fork bypassed Python's hooks."""
        if self.pid != os.getpid():
            self.after_in_child()

    def leave_to_parent(self, store: object) -> None:
        """Never use a copy of a store of the parent's, and never let it be collected.

        Its end would be at the expense of the parent's connections.
        """
        self._of_parents.append(store)


FORKS = Forks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORKS.before,
        after_in_parent=FORKS.after_in_parent,
        after_in_child=FORKS.after_in_child,
    )
