"""A lock per key, shared by all threads and processes that use a folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toril.services.disk.folders import PRIVATE, Access, open_folder


@contextmanager
def held(folder: Path, key: str, access: Access = PRIVATE) -> Iterator[None]:
    """Hold the lock of `key`; waits for whoever has it.

    The lock ends with the process, however that ends, so nobody has to break it. Keys share 256
    lock files, which are never removed: now and then two keys wait for each other for nothing.

    Parameters:
        folder: Where the lock files are; made if it is not there. Whoever can open them can hold
            them, so it is nobody else's business.
        key: What is locked. Hold one at a time, or two holders may wait for each other for ever.
        access: Who may use what is made here.
    """
    stripe = hashlib.blake2b(key.encode(), digest_size=1).hexdigest()
    with open_folder(folder, access) as opened:
        try:
            fd = opened.create(stripe)
        except FileExistsError:
            fd = os.open(stripe, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened.fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
