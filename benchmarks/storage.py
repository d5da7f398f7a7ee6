"""Where the stores lie: on a disk, since a file in memory makes every figure too good."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

IN_MEMORY = ("tmpfs", "ramfs")
SYNCS = 50


class Storage(msgspec.Struct, frozen=True):
    """A folder for stores, and what is below it."""

    folder: Path
    file_system: str
    """Its type in the kernel's words."""
    sync_ms: float
    """Median time to write 4 KiB and have them on the disk, in milliseconds."""

    def __str__(self) -> str:
        warning = " (in memory: `full` is not what it says)" if self.in_memory else ""
        return f"{self.file_system}{warning}, {self.sync_ms:.2f} ms to write and sync 4 KiB"

    @property
    def in_memory(self) -> bool:
        """Whether nothing here ever reaches a disk."""
        return self.file_system in IN_MEMORY


def find_storage(wanted: Path | None) -> Storage:
    """Return a folder on a disk: the wanted one, the usual for temporary files, or another."""
    if wanted is not None:
        return _storage(wanted)
    candidates = [Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()]
    usable = [folder for folder in candidates if folder.is_dir() and os.access(folder, os.W_OK)]
    on_disk = [folder for folder in usable if file_system_of(folder) not in IN_MEMORY]
    return _storage((on_disk or usable)[0])


def file_system_of(folder: Path) -> str:
    """Return the type of a folder's file system; `unknown` where there is no `/proc/mounts`."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown file system"
    place = folder.resolve()
    around = [
        (len(point), kind)
        for _, point, kind, *_ in mounts
        if place.is_relative_to(point.replace("\\040", " "))
    ]
    return max(around)[1] if around else "unknown file system"


def _storage(folder: Path) -> Storage:
    return Storage(folder, file_system_of(folder), _sync_ms(folder))


def _sync_ms(folder: Path) -> float:
    took_s = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(SYNCS):
            begin_s = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            took_s.append(time.perf_counter() - begin_s)
    return statistics.median(took_s) * 1000
