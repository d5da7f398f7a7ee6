"""One relay at a time for an SQLite database: by a lock on a file beside it.

The lock ends with the process that holds it, however that ends. No lock of the database itself is
held while jobs are added to the store, so nobody who writes to it waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from toril.core.errors import OutboxError

SUFFIX = "-toril-relay"


@contextmanager
def file_turn(path: str) -> Iterator[bool]:
    """Take the turn for a `with` block, if no other relay has it; yield whether it was taken.

    Raises:
        OutboxError: The file for it cannot be opened.
    """
    import fcntl  # not on every system

    try:
        mode = os.stat(path).st_mode & 0o666  # who may use the one may use the other
        handle = os.open(f"{path}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    except OSError as error:
        raise OutboxError(
            f"the outbox in {path} cannot be relayed: {error.strerror}: {error.filename}. A relay"
            " needs a file beside the database, and the right to make it"
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
