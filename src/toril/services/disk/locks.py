"""One at a time, by key, among all threads and processes that share a folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toril.services.disk.writing import make_folder


@contextmanager
def held(folder: Path, key: str) -> Iterator[None]:
    """Hold the lock of `key`; waits for whoever has it.

    The lock ends with the process, however that ends, so nobody has to break it. Keys share 256
    lock files, which are never removed: now and then two keys wait for each other for nothing.

    Parameters:
        folder: Where the lock files are; made if it is not there.
        key: What is locked. Hold one at a time, or two holders may wait for each other for ever.
    """
    make_folder(folder)
    stripe = hashlib.blake2b(key.encode(), digest_size=1).hexdigest()
    fd = os.open(folder / stripe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
