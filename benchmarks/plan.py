"""What is measured: the groups of each section, in order, and how one asks for some of them."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from benchmarks import beyond_plan, redis_plan, sqlite_plan
from benchmarks.measurements import Measurements
from benchmarks.order import Durability, Peer, Store
from benchmarks.python_plan import beside, postgresql_groups
from benchmarks.rows import Group
from benchmarks.sections import (
    BEYOND,
    BEYOND_REDIS,
    BY_DURABILITY,
    PEERS,
    POSTGRESQL,
    REDIS,
    WORKER,
    Section,
)
from benchmarks.sizes import Sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Makes the groups."""

    sizes: Sizes
    peers: Collection[Peer]
    """Those that are installed."""
    memory_bytes: int
    """What child processes may take together."""
    python_peers: Sequence[Peer] = ()
    """Queues for Python that have their turns too."""

    def groups(
        self, stores: Sequence[Store], durabilities: Sequence[Durability], only: Sequence[str]
    ) -> list[Group]:
        """Return the groups in the order in which to run them.

        Parameters:
            stores: Which.
            durabilities: Which, on SQLite.
            only: Names of groups, or their first words. None given: all.

        Raises:
            ValueError: There is no group of such a name; the message has those that there are.
        """
        groups: list[Group] = []
        if "sqlite" in stores:
            for durability in durabilities:
                section = BY_DURABILITY[durability]
                of = self._of(section, durability)
                groups += beside(sqlite_plan.durable_groups(of), of, self.python_peers)
            first = durabilities[0]
            groups += sqlite_plan.worker_groups(self._of(WORKER, first))
            groups += beyond_plan.groups(self._of(BEYOND[first], first))
        if "redis" in stores:
            of = self._of(REDIS, "full")
            groups += beside(redis_plan.groups(of), of, self.python_peers)
            groups += beyond_plan.groups(self._of(BEYOND_REDIS, "full"))
        if "postgresql" in stores:
            groups += postgresql_groups(self._of(POSTGRESQL, "full"), self.python_peers)
        known = list(dict.fromkeys(group.name for group in groups))
        for word in only:
            if not any(_matches(name, word) for name in known):
                nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
                raise ValueError(
                    f"--only {word}: there is none; did you mean {nearest}? All: {', '.join(known)}"
                )
        return [group for group in groups if chooses(only, [group.name])]

    def _of(self, section: Section, durability: Durability) -> Measurements:
        return Measurements(
            section=section,
            durability=durability,
            sizes=self.sizes,
            peers=[peer for peer in PEERS[section.store] if peer in self.peers],
            memory_bytes=self.memory_bytes,
        )


def chooses(only: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether names of groups, or their first words, choose one of some; none choose all."""
    return not only or any(_matches(name, word) for name in names for word in only)


def _matches(name: str, word: str) -> bool:
    return name == word or name.startswith(f"{word}-")
