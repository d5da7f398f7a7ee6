"""What was measured on: figures without it mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from benchmarks.loop import loop_name
from benchmarks.order import Peer, Store
from benchmarks.peers import TITLES, find_peers, version_of
from benchmarks.sections import PEERS
from benchmarks.storage import Storage
from benchmarks.stores import postgresql_in_words, redis_in_words
from toril import __version__

ROOT = Path(__file__).resolve().parent.parent


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """A machine and what runs on it, each in words."""

    date: str
    cpu: str
    memory: str
    kernel: str
    python: str
    stores: dict[Store, str]
    """Those that are measured."""
    toril: dict[Store, str]
    """Its version, and what it stands on there."""
    peers: dict[Peer, str]
    """Those that are installed."""
    load: str

    def lines(self, store: Store) -> list[str]:
        """Return what matters to a store's figures, as a Markdown list."""
        peers = [f"* {TITLES[p]}: {self.peers.get(p, 'not installed')}" for p in PEERS[store]]
        return self._lines([store], peers)

    def lines_without_peers(self) -> list[str]:
        """Return what matters to the figures of Toril on all stores, as a Markdown list."""
        return self._lines(list(self.stores), [])

    def _lines(self, stores: Sequence[Store], peers: Sequence[str]) -> list[str]:
        return [
            f"* Date: {self.date}",
            f"* Machine: {self.cpu}, {self.memory}; {self.kernel}",
            *(f"* Store: {self.stores[store]}" for store in stores),
            f"* Python: {self.python}",
            *(f"* Toril: {self.toril[store]}" for store in stores),
            *peers,
            f"* Load when it began: {self.load}",
        ]


def describe(storage: Storage, stores: Sequence[Store], *, peers: bool = True) -> Machine:
    """Return what this machine is, and how busy at the moment.

    Parameters:
        storage: Where files lie.
        stores: Which are measured.
        peers: Whether to look for those beside whom Toril is shown, and to install some.

    Raises:
        MissingServerError: A server is to be measured, and there is none.
    """
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0]
    busy = "; other work ran beside it, so the figures are worth little" if load > cores / 2 else ""
    ours = f"{__version__}{_commit()}"
    below = f"apsw {apsw.apsw_version()} with SQLite {apsw.sqlite_lib_version()}"
    in_words: dict[Store, str] = {}
    on_sqlite = f"{ours}, {below}"
    toril: dict[Store, str] = {"sqlite": on_sqlite}
    for store in stores:
        match store:
            case "sqlite":
                in_words[store] = f"SQLite on {storage}"
            case "redis":
                in_words[store] = redis_in_words()
                toril[store] = f"{ours}, hiredis {version_of('hiredis')}"
            case "postgresql":
                in_words[store] = f"{postgresql_in_words(storage.folder)}; {storage}"
                toril[store] = f"{on_sqlite}, on the same disk"
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        cpu=f"{_cpu()}, {cores} cores",
        memory=f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        kernel=f"{platform.system()} {platform.release()}",
        python=f"{platform.python_implementation()} {platform.python_version()}, {loop_name()}",
        stores=in_words,
        toril=toril,
        peers=find_peers(peer for store in stores for peer in PEERS[store] if peers),
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
