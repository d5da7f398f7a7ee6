"""What is measured on every store, each as a group of lines.

What only one store has, and what its peers cannot do, is in that store's plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from benchmarks.order import Durability, Order, Peer, Place
from benchmarks.rows import Group, Row, rate, row
from benchmarks.sections import Section
from benchmarks.sizes import Sizes

PLACES: dict[Place, str] = {"loop": "async", "thread": "thread", "process": "process"}
CHILD_BYTES = 64 * 1024 * 1024
"""What a child process is taken to need: about twice what one of a small application has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """Makes the groups of one section."""

    section: Section
    durability: Durability = "full"
    """Of a file."""
    sizes: Sizes
    peers: Sequence[Peer]
    """Those of the section's store that are installed."""
    memory_bytes: int
    """What child processes may take together."""

    def order(
        self,
        work: str,
        jobs: int,
        warm_up: int,
        *,
        least: int = 10,
        concurrency: int = 10,
        run_in: Place = "loop",
        producers: int = 1,
    ) -> Order:
        """Return a measurement of Toril, with its jobs scaled to at least so many."""
        return Order(
            peer="toril",
            work=work,
            store=self.section.ours or self.section.store,
            durability=self.durability,
            jobs=self.sizes.jobs(jobs, least=least),
            warm_up=self.sizes.jobs(warm_up, least=2),
            concurrency=concurrency,
            run_in=run_in,
            producers=producers,
            per_s=self.sizes.per_s,
        )

    def same(self, ours: Order, *, jobs: Mapping[Peer, int] | None = None) -> list[Order]:
        """Return the same measurement of each peer.

        Parameters:
            ours: That of Toril.
            jobs: For peers that have another number of them, since theirs would take too long; the
                rate does not depend on it.
        """
        other = jobs or {}
        return [
            msgspec.structs.replace(
                ours, peer=peer, jobs=self.sizes.jobs(other[peer]) if peer in other else ours.jobs
            )
            for peer in self.peers
        ]

    def group(self, name: str, *rows: Row, once: bool = False) -> Group:
        """Return a group of the section."""
        return Group(name=name, section=self.section, rows=rows, once=once)

    def add_alone(self) -> Group:
        """One producer that awaits each job."""
        ours = self.order("adding.alone", self.sizes.add_alone, 100)
        line = rate("add, each awaited before the next", ours, self.same(ours))
        return self.group("add-alone", line)

    def process(
        self, concurrency: int, theirs: Mapping[Place, Sequence[Order]], notes: Mapping[Place, str]
    ) -> Group:
        """A backlog, done by tasks in each of the places where ours can run.

        Parameters:
            concurrency: Jobs at once.
            theirs: Whose figures stand beside our tasks of a place.
            notes: Why nobody's do.
        """
        rows = []
        for place, word in PLACES.items():
            missing = self._why_not(place, concurrency)
            ours = self.backlog(place, concurrency) if missing is None else None
            title = f"process, {word} task, {concurrency:,} at once"
            note = missing or notes.get(place)
            rows.append(rate(title, ours, theirs.get(place, ()), note=note))
        return self.group(f"process-{concurrency}", *rows)

    def backlog(self, place: Place, concurrency: int) -> Order:
        """Return the processing of a backlog by tasks of a place."""
        jobs, warm_up = self.sizes.process[place, concurrency], max(100, concurrency)
        return self.order(
            "processing.backlog", jobs, warm_up, concurrency=concurrency, run_in=place
        )

    def pick_up(self, name: str, work: str, where: str) -> Group:
        """From the moment a job is due to be added to the first line of its task."""
        sizes = self.sizes
        ours = self.order(f"pickup.{work}", sizes.pick_up, sizes.pick_up_warm_up, least=20)
        title = f"pick-up at {sizes.per_s} jobs/s, {where}"
        named = (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
        theirs = self.same(ours)
        return self.group(
            name, *(row(f"{title}, {word}", "ms", value, ours, theirs) for word, value in named)
        )

    def claim(self) -> Group:
        """What growth costs, through the backend's contract."""
        sizes = self.sizes
        small = sizes.jobs(sizes.backlogs[0], least=200)
        large = sizes.jobs(sizes.backlogs[1], least=400)
        order = Order(
            peer="toril",
            work="claiming.rates",
            store=self.section.store,
            durability=self.durability,
            jobs=100 * sizes.jobs(sizes.exchanges, least=3),
            warm_up=100 * sizes.jobs(20, least=2),
            backlogs=(small, large),
        )
        claim, add = "claim and finish by 100", "add by 100"
        return self.group(
            "claim",
            rate(f"{claim}, {small:,} in line", order, value="claims_small_per_s"),
            rate(f"{claim}, {large:,} in line", order, value="claims_large_per_s"),
            row("… times as long at the second", "×", "claims_ratio", order),
            rate(f"{add}, {small:,} in line", order, value="adds_small_per_s"),
            rate(f"{add}, {large:,} in line", order, value="adds_large_per_s"),
            row("… times as long at the second", "×", "adds_ratio", order),
        )

    def resident_memory(self, jobs: int, *, compared: bool) -> Group:
        """What a worker's process holds at three moments of a long backlog."""
        ours = self.order("processing.memory", jobs, 0, least=1_000, concurrency=100)
        theirs = self.same(ours) if compared else []
        rows = [
            row(
                f"resident memory after {ours.jobs * percent // 100:,} jobs",
                "MiB",
                f"at_{percent}_mib",
                ours,
                theirs,
            )
            for percent in (10, 50, 100)
        ]
        return self.group("memory", *rows, once=True)

    def _why_not(self, place: Place, concurrency: int) -> str | None:
        if (place, concurrency) not in self.sizes.process:
            quick = "; the quick form has no more than 10" if concurrency <= 100 else ""
            return f"{concurrency:,} child processes are not measured{quick}"
        need = CHILD_BYTES * concurrency
        if place == "process" and need > self.memory_bytes:
            return (
                f"{concurrency} child processes need about {need / 2**30:.1f} GiB;"
                f" {self.memory_bytes / 2**30:.1f} GiB were free"
            )
        return None
