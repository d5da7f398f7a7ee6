"""What is measured: groups of orders whose turns alternate, and the rows that come of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.order import Durability, Order, Peer, Place
from benchmarks.sizes import CONCURRENCIES, PRODUCERS, Sizes

PLACES: dict[Place, str] = {"loop": "async", "thread": "thread", "process": "process"}
CHILD_BYTES = 64 * 1024 * 1024
"""What a child process is taken to need: about twice what one of a small application has."""
HUEY_MOST = 100
"""Threads of a Huey consumer beyond which it is not measured: they share one connection."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure comes from: a value of an order's answer."""

    order: Order
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the table."""

    title: str
    unit: str
    better: Literal["more", "less"]
    ours: Source | None = None
    theirs: Source | None = None
    note: str | None = None
    """Why one of them is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Measurements that belong together: run after run, each has its turn."""

    name: str
    section: Durability | Literal["worker"]
    rows: Sequence[Row]
    once: bool = False
    """One run, however many were asked for: it is long, and steady."""

    orders: Sequence[Order] = field(init=False)

    def __post_init__(self) -> None:
        sources = [source for row in self.rows for source in (row.ours, row.theirs) if source]
        object.__setattr__(self, "orders", list(dict.fromkeys(s.order for s in sources)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Makes the groups."""

    sizes: Sizes
    with_huey: bool
    memory_bytes: int
    """What child processes may take together."""

    def groups(self, durabilities: Sequence[Durability], only: Sequence[str]) -> list[Group]:
        """Return the groups in the order in which to run them.

        Parameters:
            durabilities: Which.
            only: Names of groups, or their first words. None given: all.

        Raises:
            ValueError: There is no group of such a name; the message has those that there are.
        """
        groups = [group for durability in durabilities for group in self._of(durability)]
        groups += [self._memory(durabilities[0]), self._idle(durabilities[0])]
        known = list(dict.fromkeys(group.name for group in groups))
        for word in only:
            if not any(_matches(name, word) for name in known):
                nearest = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
                raise ValueError(
                    f"--only {word}: there is none; did you mean {nearest}? All: {', '.join(known)}"
                )
        return [g for g in groups if not only or any(_matches(g.name, word) for word in only)]

    def _of(self, durability: Durability) -> list[Group]:
        return [
            self._add_alone(durability),
            self._add_concurrent(durability),
            self._add_bulk(durability),
            *(self._process(durability, concurrency) for concurrency in CONCURRENCIES),
            self._pick_up(durability, "pickup-one", "one_process", "one process"),
            self._pick_up(durability, "pickup-two", "two_processes", "two processes"),
            self._claim(durability),
        ]

    def _add_alone(self, durability: Durability) -> Group:
        ours = self._order("toril", "adding.alone", durability, self.sizes.add_alone, 100)
        theirs = self._order("huey", "adding.alone", durability, self.sizes.add_alone, 100)
        title = "add, each awaited before the next"
        return Group(name="add-alone", section=durability, rows=[self._rate(title, ours, theirs)])

    def _add_concurrent(self, durability: Durability) -> Group:
        ours = self._order(
            "toril",
            "adding.concurrent",
            durability,
            self.sizes.add_concurrent,
            1_000,
            producers=PRODUCERS,
        )
        row = self._rate(f"add, {PRODUCERS} producers in a process", ours, note=_ONE_LOCK)
        return Group(name="add-concurrent", section=durability, rows=[row])

    def _add_bulk(self, durability: Durability) -> Group:
        sizes = self.sizes
        ours = self._order("toril", "adding.bulk", durability, sizes.add_bulk, 2_000)
        theirs = self._order("huey", "adding.alone", durability, sizes.huey_add, 100)
        row = self._rate(
            f"add in bulk, {ours.jobs:,} in a call",
            ours,
            theirs,
            note=f"Huey has no bulk add: a loop over {theirs.jobs:,} jobs",
        )
        return Group(name="add-bulk", section=durability, rows=[row])

    def _process(self, durability: Durability, concurrency: int) -> Group:
        theirs = self._order(
            "huey",
            "processing.backlog",
            durability,
            self.sizes.huey_process,
            max(100, concurrency),
            concurrency=concurrency,
        )
        rows = []
        for place, word in PLACES.items():
            title = f"process, {word} task, {concurrency:,} at once"
            beyond = concurrency > HUEY_MOST
            note = f"Huey: not measured beyond {HUEY_MOST} threads" if beyond else None
            missing = self._why_not(place, concurrency)
            ours = None
            if missing is None:
                ours = self._order(
                    "toril",
                    "processing.backlog",
                    durability,
                    self.sizes.process[place, concurrency],
                    max(100, concurrency),
                    concurrency=concurrency,
                    run_in=place,
                )
            # A Huey consumer of threads has no counterpart to tasks in child processes.
            comparable = place != "process" and not beyond
            rows.append(
                self._rate(title, ours, theirs if comparable else None, note=missing or note)
            )
        return Group(name=f"process-{concurrency}", section=durability, rows=rows)

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

    def _pick_up(self, durability: Durability, name: str, work: str, where: str) -> Group:
        ours, theirs = (
            Order(
                peer=peer,
                work=f"pickup.{work}",
                durability=durability,
                jobs=self.sizes.jobs(self.sizes.pick_up, least=20),
                warm_up=self.sizes.jobs(self.sizes.pick_up_warm_up),
                per_s=self.sizes.per_s,
            )
            for peer in _PEERS
        )
        rows = [
            self._row(
                f"pick-up at {self.sizes.per_s} jobs/s, {where}, {word}",
                "ms",
                "less",
                Source(ours, value),
                Source(theirs, value),
            )
            for word, value in (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
        ]
        return Group(name=name, section=durability, rows=rows)

    def _claim(self, durability: Durability) -> Group:
        small, large = self.sizes.backlogs
        order = Order(
            peer="toril",
            work="claiming.rates",
            durability=durability,
            jobs=100 * self.sizes.jobs(self.sizes.exchanges, least=3),
            warm_up=100 * self.sizes.jobs(20, least=2),
            backlogs=(self.sizes.jobs(small, least=200), self.sizes.jobs(large, least=400)),
        )
        small, large = order.backlogs
        rows = [
            self._rate(f"claim and finish by 100, {small:,} in line", order, at="claims_small"),
            self._rate(f"claim and finish by 100, {large:,} in line", order, at="claims_large"),
            self._row("… times as long at the second", "×", "less", Source(order, "claims_ratio")),
            self._rate(f"add by 100, {small:,} in line", order, at="adds_small"),
            self._rate(f"add by 100, {large:,} in line", order, at="adds_large"),
            self._row("… times as long at the second", "×", "less", Source(order, "adds_ratio")),
        ]
        return Group(name="claim", section=durability, rows=rows)

    def _memory(self, durability: Durability) -> Group:
        order = Order(
            peer="toril",
            work="processing.memory",
            durability=durability,
            jobs=self.sizes.jobs(self.sizes.memory, least=1_000),
            concurrency=100,
        )
        rows = [
            self._row(
                f"resident memory after {order.jobs * percent // 100:,} jobs",
                "MiB",
                "less",
                Source(order, f"at_{percent}_mib"),
            )
            for percent in (10, 50, 100)
        ]
        return Group(name="memory", section="worker", rows=rows, once=True)

    def _idle(self, durability: Durability) -> Group:
        ours, theirs = (
            Order(
                peer=peer,
                work="idling.worker",
                durability=durability,
                warm_up=self.sizes.jobs(100),
                duration_s=max(0.1, self.sizes.idle_s * self.sizes.scale),
            )
            for peer in _PEERS
        )
        row = self._row(
            "idle, CPU seconds per minute",
            "s",
            "less",
            Source(ours, "cpu_s_per_min"),
            Source(theirs, "cpu_s_per_min"),
            note="an idle Huey looks for jobs ever more seldom, every 10 s in the end",
        )
        return Group(name="idle", section="worker", rows=[row])

    def _order(
        self,
        peer: Peer,
        work: str,
        durability: Durability,
        jobs: int,
        warm_up: int,
        *,
        concurrency: int = 10,
        run_in: Place = "loop",
        producers: int = 1,
    ) -> Order:
        return Order(
            peer=peer,
            work=work,
            durability=durability,
            jobs=self.sizes.jobs(jobs),
            warm_up=self.sizes.jobs(warm_up, least=2),
            concurrency=concurrency,
            run_in=run_in,
            producers=producers,
        )

    def _rate(
        self,
        title: str,
        ours: Order | None,
        theirs: Order | None = None,
        *,
        at: str = "",
        note: str | None = None,
    ) -> Row:
        value = f"{at}_per_s" if at else "per_s"
        return self._row(
            title,
            "jobs/s",
            "more",
            None if ours is None else Source(ours, value),
            None if theirs is None else Source(theirs, value),
            note=note,
        )

    def _row(
        self,
        title: str,
        unit: str,
        better: Literal["more", "less"],
        ours: Source | None,
        theirs: Source | None = None,
        *,
        note: str | None = None,
    ) -> Row:
        return Row(
            title=title,
            unit=unit,
            better=better,
            ours=ours,
            theirs=theirs if self.with_huey else None,
            note=note,
        )


_PEERS: tuple[Peer, Peer] = ("toril", "huey")
_ONE_LOCK = "Huey: not measured, its producers in a process take turns at one connection"


def _matches(name: str, word: str) -> bool:
    return name == word or name.startswith(f"{word}-")
