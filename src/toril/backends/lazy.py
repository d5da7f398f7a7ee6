"""A store that is opened at its first use, and opened anew in a forked child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from toril.backends.forks import FORKS
from toril.engine.contract import Backend


class LazyStore:
    """The store of one app. Safe to use from several threads."""

    def __init__(self, open_store: Callable[[], Backend]) -> None:
        self._open = open_store
        self._lock = threading.Lock()
        self._backend: Backend | None = None
        FORKS.tell(self)

    def get(self) -> Backend:
        """Return the store, opened at the first call.

        Raises:
            BackendError: It cannot be opened; the message says why and what to do.
        """
        if self._backend is None or FORKS.pid != os.getpid():  # asked for each job that is added
            FORKS.notice()
            with self._lock:
                if self._backend is None:
                    self._backend = self._open()
        return self._backend

    def renew(self) -> None:
        """In a forked child: leave the parent's store to the parent, whose threads are not here."""
        self._lock = threading.Lock()
        # A store in memory stays its parent's, and says so when it is used.
        if self._backend is not None and "shared_processes" in self._backend.capabilities:
            FORKS.leave_to_parent(self._backend)
            self._backend = None

    async def close(self) -> None:
        """Let go of the store. Its next use opens it again."""
        FORKS.notice()
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.lifecycle.close()
