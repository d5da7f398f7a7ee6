"""The parts of the table: what is compared in each, and with whom."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.order import Durability, Peer, Store

PEERS: dict[Store, tuple[Peer, ...]] = {
    "sqlite": ("huey",),
    "redis": ("bullmq_node", "bullmq_python"),
}
"""Beside whom Toril is shown on a store, in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the table."""

    name: str
    store: Store
    title: str


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

SECTIONS = (FULL, NORMAL, WORKER, BEYOND_FULL, BEYOND_NORMAL, REDIS, BEYOND_REDIS)
BEYOND: dict[Durability, Section] = {"full": BEYOND_FULL, "normal": BEYOND_NORMAL}
BY_DURABILITY: dict[Durability, Section] = {"full": FULL, "normal": NORMAL}
