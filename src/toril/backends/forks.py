"""What happens to the stores of this process when it forks.

A child must inherit no open file of a store and no half-done transaction. So before a fork each
store is waited for and put to rest, and both sides take it up again at their next call.
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
"""How long a fork waits for what is under way, in seconds. Transactions take milliseconds."""


class Part(Protocol):
    """What has threads, locks or waiters, of which a forked child has none."""

    def renew(self) -> None:
        """Drop what the fork has copied. In the child, whose only thread calls this."""
        ...


class Resting(Part, Protocol):
    """What must not be in use during a fork."""

    @property
    def order(self) -> tuple[int, int]:
        """The order in which several are taken."""
        ...

    def rest(self, until_s: float) -> None:
        """Take it and put it to rest, if that is possible until then (steady clock)."""
        ...

    def wake(self) -> None:
        """Give it back, in the parent, if it was taken."""
        ...


@dataclass(slots=True)
class _Fork:
    """What a fork that is under way has taken."""

    resting: list[Resting] = field(default_factory=list)
    door: bool = False
    importing: bool = False


class Forks:
    """All stores of this process, and what is done about them around a fork."""

    def __init__(self) -> None:
        self._resting: weakref.WeakSet[Resting] = weakref.WeakSet()
        self._parts: weakref.WeakSet[Part] = weakref.WeakSet()
        self._door = threading.Lock()  # held during a fork, so that no store comes up
        self._under_way: dict[int, _Fork] = {}
        """By the thread that forks."""
        self.importing = threading.RLock()
        """Held while the modules of a store are imported at its first use."""
        self._inherited: set[str] = set()
        self._pid = os.getpid()
        self.begun = 0
        """Forks that were begun. Who fails while it changes gave way to one, and may try again."""

    def enter(self, one: Resting) -> None:
        """Put this one to rest before forks from now on."""
        self._notice_fork()
        with self._door:
            self._resting.add(one)

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
        """Put all stores to rest, each between two transactions, and keep them there."""
        until_s = time.monotonic() + WAIT_S
        # Noted before it is taken: Ctrl-C may cut this short, and the fork comes all the same.
        fork = self._under_way[threading.get_ident()] = _Fork()
        self.begun += 1
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
        """Let the others go on."""
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
        """Begin anew: no thread but this one is here, and no lock will ever be released."""
        self._door = threading.Lock()
        self.importing = threading.RLock()
        self._under_way = {}
        self._pid = os.getpid()
        for one in list(self._resting):
            one.renew()
        for part in list(self._parts):
            part.renew()

    def _notice_fork(self) -> None:
        """Do in the child what was left out by a fork that Python was not told of."""
        if self._pid != os.getpid():
            self.after_in_child()


FORKS = Forks()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=FORKS.before,
        after_in_parent=FORKS.after_in_parent,
        after_in_child=FORKS.after_in_child,
    )
