"""A store in a file that somebody else holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder/toril.db`, as a process that hangs in a transaction does."""
    other = apsw.Connection(str(folder / "toril.db"))
    other.set_busy_timeout(10_000)  # the worker may be writing right now
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
