"""A lock per key, shared by all threads and processes that use a folder."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from toril.services.disk.folders import PRIVATE, Access, Folder, open_folder

_LOCKABLE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


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


@contextmanager
def held_if_free(folder: Path, name: str, access: Access = PRIVATE) -> Iterator[bool]:
    """Hold the lock of a file; give whether it was free. Does not wait.

    The lock ends with the process, too. The file is removed when it is let go.

    Parameters:
        folder: Where the file is; made if it is not there.
        name: Of the file, which is there for nothing else.
        access: Who may use what is made here.
    """
    with open_folder(folder, access) as opened:
        fd = _locked(opened, name, access)
        try:
            yield fd is not None
        finally:
            if fd is not None:
                # Removed while it is locked: whoever opened it before sees that it is gone.
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=opened.fd)
                os.close(fd)


def _locked(folder: Folder, name: str, access: Access) -> int | None:
    """Lock a file and return its descriptor; None if it is locked."""
    while True:
        fd = os.open(name, _LOCKABLE, access.file_mode, dir_fd=folder.fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_named(folder, name, fd):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        os.close(fd)  # it was removed in the moment before it was locked


def _is_named(folder: Folder, name: str, fd: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
