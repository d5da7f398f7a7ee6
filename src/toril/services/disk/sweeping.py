"""Removes old files below a folder, and follows no link on the way."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from toril.services.disk.folders import READ_FILE, existing_folder
from toril.services.disk.writers import is_being_written


@dataclass(slots=True)
class Swept:
    """What a sweep did, or would have done."""

    removed: int = 0
    """Files."""
    freed_bytes: int = 0
    """Of files that had no other name left."""
    skipped: int = 0
    """Old files that stay: links, files in use, and those that this process may not remove."""
    reasons: dict[str, int] = field(default_factory=dict)
    """How many were skipped, by the reason."""

    def skip(self, reason: str) -> None:
        """Count one that stays."""
        self.skipped += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


def sweep(
    root: Path,
    parts: tuple[str, ...] = (),
    *,
    older_than_s: float,
    now_s: float,
    pattern: str | None = None,
    spare_open: bool = False,
    dry_run: bool = False,
    seen: Callable[[int], None] = lambda files: None,
) -> Swept:
    """Remove the regular files below a folder that nobody changed for a while.

    Folders stay, but for those that are empty and as old. Something that vanishes meanwhile is
    nobody's fault.

    Parameters:
        root: A folder that an operator chose. It may itself be reached through links.
        parts: The way from there to where the sweep begins; each a folder, none a link.
        older_than_s: How long ago the last change has to be, in seconds.
        now_s: The present, in seconds since 1970.
        pattern: What a file's name has to match, such as `*.tmp`. Default: any.
        spare_open: Leave files that some process has open for writing. Where the system cannot
            tell, the newest file of each folder stays.
        dry_run: Only count.
        seen: Told how many files were looked at, after each folder; may raise.

    Raises:
        FileNotFoundError: There is no such folder.
        NotADirectoryError: A part is a link or no folder.
    """
    before_s = now_s - older_than_s
    swept, looked_at = Swept(), 0
    with ExitStack() as stack:
        folder = stack.enter_context(existing_folder(root))
        for part in parts:
            folder = stack.enter_context(folder.existing_child(part))
        walk = os.fwalk(".", topdown=False, dir_fd=folder.fd)
        for _, folders, files, fd in walk:
            newest = _newest(files, fd) if spare_open else None
            for name in files:
                if pattern is not None and not fnmatch.fnmatchcase(name, pattern):
                    continue
                with suppress(FileNotFoundError):
                    _consider(name, fd, swept, before_s, spare_open, newest, dry_run)
            if not dry_run:
                for name in folders:
                    _remove_empty(name, fd, before_s)
            looked_at += len(files)
            seen(looked_at)
    return swept


def _consider(
    name: str,
    folder_fd: int,
    swept: Swept,
    before_s: float,
    spare_open: bool,
    newest: str | None,
    dry_run: bool,
) -> None:
    found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    if found.st_mtime > before_s:
        return
    if not stat.S_ISREG(found.st_mode):
        swept.skip("a link" if stat.S_ISLNK(found.st_mode) else "no regular file")
        return
    if spare_open and _in_use(name, folder_fd, newest):
        swept.skip("in use")
        return
    if not dry_run:
        try:
            os.unlink(name, dir_fd=folder_fd)
        except PermissionError:
            swept.skip("no permission")
            return
    swept.removed += 1
    swept.freed_bytes += found.st_size if found.st_nlink == 1 else 0


def _in_use(name: str, folder_fd: int, newest: str | None) -> bool:
    try:
        fd = os.open(name, READ_FILE, dir_fd=folder_fd)
    except PermissionError:
        return name == newest
    try:
        written = is_being_written(fd)
    finally:
        os.close(fd)
    return name == newest if written is None else written


def _newest(files: list[str], folder_fd: int) -> str | None:
    """Return the file that was changed last."""
    changed: dict[str, int] = {}
    for name in files:
        with suppress(FileNotFoundError):
            found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                changed[name] = found.st_mtime_ns
    return max(changed, key=lambda name: changed[name], default=None)


def _remove_empty(name: str, folder_fd: int, before_s: float) -> None:
    # What was emptied just now has changed just now: a later sweep takes it, when nobody has put
    # anything in for as long.
    with suppress(OSError):
        found = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and found.st_mtime <= before_s:
            os.rmdir(name, dir_fd=folder_fd)
