"""An order: one measurement, said so fully that a fresh process can make it and nothing else."""

from __future__ import annotations

from typing import Literal

import msgspec

from benchmarks.cases import Case

Peer = Literal[
    "toril",
    "huey",
    "bullmq_node",
    "bullmq_python",
    "celery",
    "dramatiq",
    "rq",
    "rq_simple",
    "huey_redis",
    "arq",
    "saq",
    "taskiq",
    "streaq",
    "flexiq",
    "procrastinate",
    "pgqueuer",
]
Store = Literal["sqlite", "redis", "postgresql"]
"""Toril has no store on PostgreSQL: there it stands beside others as it is on SQLite."""
Durability = Literal["full", "normal"]
Place = Literal["loop", "thread", "process"]

Values = dict[str, float]
"""What a measurement found, by name."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement."""

    peer: Peer
    work: str
    """`module.function` of the peer's figures: `adding.alone`."""
    store: Store
    durability: Durability = "full"
    """Of a file. A server has been told its own."""
    jobs: int = 0
    """How many jobs are measured, the warm-up not counted."""
    warm_up: int = 0
    """Jobs before the clock starts."""
    concurrency: int = 10
    """Jobs at once of the worker; 10 is what a Toril worker has without a word."""
    run_in: Place = "loop"
    """Where the no-op task runs."""
    producers: int = 1
    """How many add at the same time."""
    per_s: int = 200
    """Jobs that are added in a second, on a fixed schedule."""
    backlogs: tuple[int, int] = (0, 0)
    """Jobs in line while claims are timed."""
    queues: int = 1
    """How many queues are served."""
    duration_s: float = 0.0
    """How long to watch."""
    case: Case = Case()
    """What the jobs are."""

    @property
    def label(self) -> str:
        """A few words for people who wait."""
        words = [self.peer, self.work, self.durability if self.store == "sqlite" else self.store]
        if self.work == "processing.backlog":
            if self.peer == "toril":
                words.append(self.run_in)
            words.append(f"× {self.concurrency:,}")
        if self.case.name:
            words.append(self.case.name)
        if self.queues > 1:
            words.append(f"{self.queues} queues")
        return " ".join(words)
