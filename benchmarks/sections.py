"""The parts of the table: what is compared in each, and with whom."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.order import Durability, Peer, Store

PEERS: dict[Store, tuple[Peer, ...]] = {
    "sqlite": ("huey",),
    "redis": ("bullmq_node", "bullmq_python"),
    "postgresql": (),
}
"""Beside whom Toril is shown on a store, in the order of the columns."""

NAMES: dict[Store, str] = {"sqlite": "SQLite", "redis": "Redis", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the table."""

    name: str
    store: Store
    title: str
    ours: Store | None = None
    """What Toril is on there. None: the same as everybody."""


FULL = Section(
    "full", "sqlite", "SQLite, durability `full`: an acknowledged job survives a loss of power"
)
NORMAL = Section(
    "normal",
    "sqlite",
    "SQLite, durability `normal`: an acknowledged job survives the end of the process",
)
WORKER = Section("worker", "sqlite", "SQLite, a worker by itself")
REDIS = Section("redis", "redis", "Redis")
BEYOND_FULL = Section("beyond-full", "sqlite", "SQLite, beyond the no-op job, durability `full`")
BEYOND_NORMAL = Section(
    "beyond-normal", "sqlite", "SQLite, beyond the no-op job, durability `normal`"
)
BEYOND_REDIS = Section("beyond-redis", "redis", "Redis, beyond the no-op job")
POSTGRESQL = Section(
    "postgresql",
    "postgresql",
    "PostgreSQL, and Toril on SQLite with durability `full`: on both an acknowledged job survives a"
    " loss of power",
    ours="sqlite",
)

SECTIONS = (FULL, NORMAL, WORKER, BEYOND_FULL, BEYOND_NORMAL, REDIS, BEYOND_REDIS, POSTGRESQL)
BEYOND: dict[Durability, Section] = {"full": BEYOND_FULL, "normal": BEYOND_NORMAL}
BY_DURABILITY: dict[Durability, Section] = {"full": FULL, "normal": NORMAL}
