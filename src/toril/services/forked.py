"""Leaves to a parent process what its forked child has a copy of."""

from __future__ import annotations

import ctypes


def leave_to_parent(copy: object) -> None:
    """Keep a copy for ever, so that nothing of it is closed in this process.

    Whoever closes a copy ends what the parent uses: SQLite would undo the parent's transaction, a
    server end its session, and an event loop take its sockets out of the list that both share.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(copy))
