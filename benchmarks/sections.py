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

SECTIONS = (FULL, NORMAL, WORKER, REDIS)
BY_DURABILITY: dict[Durability, Section] = {"full": FULL, "normal": NORMAL}
