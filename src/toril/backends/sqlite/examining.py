"""Examines a file for the doctor: permissions, locks, and processes that use deleted files."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from toril.backends.sqlite.guards import Guard
from toril.engine.contract.lifecycle import Finding


def examine(path: Path, guard: Guard | None) -> list[Finding]:
    """Return the findings about an open file. Makes no query."""
    path = path.resolve()  # of a link: SQLite puts the log beside what it leads to
    return [_rights(path), _locks(guard), *_lost(path)]


def _rights(path: Path) -> Finding:
    mode, folder = path.stat().st_mode, path.parent.stat().st_mode
    others = mode & (stat.S_IROTH | stat.S_IWOTH)
    if others and folder & stat.S_IXOTH:
        may = "read and write" if others & stat.S_IWOTH else "read"
        text = f"every user of this machine may {may} the jobs: chmod o= {path}*"
        return Finding("rights", "warning", text)
    return Finding("rights", "ok", "only those who were named may read the jobs")


def _locks(guard: Guard | None) -> Finding:
    if guard is None or not guard.holds:
        text = (
            "this system has no locks that belong to an open file: let no code of these processes"
            " open the file or its -wal and -shm, by sqlite3 or otherwise"
        )
        return Finding("locks", "warning", text)
    return Finding("locks", "ok", "nothing that a process does to the file can drop them")


def _lost(path: Path) -> list[Finding]:
    """Processes that write to a file, or to a log, that was deleted."""
    wanted = {f"{path}{end} (deleted)": f"{path}{end}" for end in ("", "-wal", "-shm")}
    return [
        Finding(
            "files",
            "error",
            f"process {pid} uses {' and '.join(sorted(files))}, which was deleted: nothing that it"
            " adds would be found. End it, and start it anew",
        )
        for pid, links in _open_files()
        if (files := {wanted[link] for link in links if link in wanted})
    ]


def _open_files() -> Iterator[tuple[str, list[str]]]:
    """Give the open files of each process that we may look into. Linux has them here."""
    with suppress(OSError):
        for pid in os.listdir("/proc"):
            if not pid.isdecimal():
                continue
            links = []
            with suppress(OSError):  # it is another user's, or has just ended
                for number in os.listdir(f"/proc/{pid}/fd"):
                    with suppress(OSError):
                        links.append(os.readlink(f"/proc/{pid}/fd/{number}"))
            yield pid, links
