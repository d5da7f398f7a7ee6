"""An order: one measurement, said so fully that a fresh process can make it and nothing else."""

from __future__ import annotations

from typing import Literal

import msgspec

Peer = Literal["toril", "huey"]
Durability = Literal["full", "normal"]
Place = Literal["loop", "thread", "process"]

Values = dict[str, float]
"""What a measurement found, by name."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement."""

    peer: Peer
    work: str
    """`module.function` of the peer's figures: `adding.alone`."""
    durability: Durability
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
    duration_s: float = 0.0
    """How long to watch."""

    @property
    def label(self) -> str:
        """A few words for people who wait."""
        words = [self.peer, self.work, self.durability]
        if self.work == "processing.backlog":
            place = self.run_in if self.peer == "toril" else "thread"
            words.append(f"{place} × {self.concurrency:,}")
        return " ".join(words)
