"""Folders for the files of one piece of work, which leave nothing behind, not even after kill -9.

Each folder is locked by whoever works in it. A lock ends with its process, so that a folder without
one is nobody's: whoever comes next removes it.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toril.services.disk.folders import PRIVATE, open_folder

_PREFIX = "work-"


def default_scratch_dir() -> Path:
    """Return the folder of this user for such folders, in the system's own for temporary files."""
    return Path(tempfile.gettempdir()) / f"toril-work-{os.getuid()}"


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Give an empty folder, and remove it with all that is in it.

    Parameters:
        root: Where it is made; made itself if it is not there. Only its owner may use it.

    Raises:
        PermissionError: `root` is another user's, who could put links there.
    """
    with open_folder(root, PRIVATE) as opened:
        if os.fstat(opened.fd).st_uid != os.geteuid():
            raise PermissionError(f"{root}: it belongs to another user; set scratch_dir")
    _sweep(root)
    folder, fd = _new(root)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def _new(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / f"{_PREFIX}{secrets.token_hex(8)}"
        os.mkdir(folder, 0o700)
        fd = _locked(folder)
        if fd is not None:
            return folder, fd
        # Somebody took it for a left one, in the moment before it was locked.


def _sweep(root: Path) -> None:
    for name in os.listdir(root):
        if not name.startswith(_PREFIX):
            continue
        fd = _locked(root / name)
        if fd is not None:
            shutil.rmtree(root / name, ignore_errors=True)
            os.close(fd)


def _locked(folder: Path) -> int | None:
    """Lock a folder and return its descriptor; None if it is another's, or gone."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(folder).st_ino == os.fstat(fd).st_ino:
            return fd
    except OSError:
        pass
    os.close(fd)
    return None
