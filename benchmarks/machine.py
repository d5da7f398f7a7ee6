"""What was measured on: figures without it mean nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from benchmarks.loop import loop_name
from benchmarks.storage import Storage
from toril import __version__

ROOT = Path(__file__).resolve().parent.parent


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine and what runs on it, each in words."""

    date: str
    cpu: str
    memory: str
    kernel: str
    storage: str
    python: str
    toril: str
    huey: str | None
    """None: not installed."""
    load: str

    def lines(self) -> list[str]:
        """Return it as a Markdown list."""
        return [
            f"* Date: {self.date}",
            f"* Machine: {self.cpu}, {self.memory}; {self.kernel}",
            f"* Stores: {self.storage}",
            f"* Python: {self.python}",
            f"* Toril: {self.toril}",
            f"* Huey: {self.huey or 'not installed'}",
            f"* Load when it began: {self.load}",
        ]


def describe(storage: Storage) -> Machine:
    """Return what this machine is, and how busy at the moment."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = "; other work ran beside it, so the figures are worth little" if load > cores / 2 else ""
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=f"{_cpu()}, {cores} cores",
        memory=f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        kernel=f"{platform.system()} {platform.release()}",
        storage=str(storage),
        python=f"{platform.python_implementation()} {platform.python_version()}, {loop_name()}",
        toril=f"{__version__}{_commit()}, apsw {apsw.apsw_version()} with SQLite"
        f" {apsw.sqlite_lib_version()}",
        huey=_huey(),
        load=f"{load:.1f} on {cores} cores{busy}",
    )


def available_bytes() -> int:
    """Return how much memory can be had without swapping; half of all of it where nobody says."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _huey() -> str | None:
    try:
        version = importlib.metadata.version("huey")
    except importlib.metadata.PackageNotFoundError:
        return None
    return f"{version}, sqlite3 with SQLite {sqlite3.sqlite_version}"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return _said_by("sysctl", "-n", "machdep.cpu.brand_string") or platform.machine()


def _commit() -> str:
    commit = _said_by("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    if not commit:
        return ""
    changed = _said_by("git", "-C", str(ROOT), "status", "--porcelain", "--", "src")
    return f" (commit {commit}{', with changes' if changed else ''})"


def _said_by(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
