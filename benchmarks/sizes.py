"""How many jobs each measurement takes: enough for a second or more each, or a quick impression."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.order import Place

CONCURRENCIES = (1, 10, 100, 1000)
PRODUCERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Jobs of each measurement."""

    add_alone: int
    add_concurrent: int
    add_bulk: int
    huey_add: int
    process: dict[tuple[Place, int], int]
    """By where they run, and how many at once. What is not here is not measured."""
    huey_process: int
    bullmq_python_process: int
    pick_up: int
    pick_up_warm_up: int
    per_s: int
    exchanges: int
    backlogs: tuple[int, int]
    memory: int
    redis_memory: int
    stored: int
    idle_s: float
    redis_idle_s: float
    """As long as what comes round least often, or it is not seen."""
    idle_queues: int = 50
    beyond: float = 1.0
    """A share of the jobs that are beyond the no-op; see `beyond_plan.py`."""
    scale: float = 1.0
    """A share of all that, for a test that only wants to see the program work."""

    def jobs(self, count: int, least: int = 10) -> int:
        """Return a number of jobs, scaled."""
        return max(least, round(count * self.scale))

    def seconds(self, duration_s: float) -> float:
        """Return how long to watch, scaled."""
        return max(0.1, duration_s * self.scale)


FULL = Sizes(
    add_alone=2_000,
    add_concurrent=20_000,
    add_bulk=100_000,
    huey_add=5_000,
    process={
        ("loop", 1): 3_000,
        ("loop", 10): 20_000,
        ("loop", 100): 40_000,
        ("loop", 1000): 40_000,
        ("thread", 1): 3_000,
        ("thread", 10): 10_000,
        ("thread", 100): 20_000,
        ("thread", 1000): 20_000,
        ("process", 1): 2_000,
        ("process", 10): 4_000,
        ("process", 100): 4_000,
    },
    huey_process=5_000,
    bullmq_python_process=5_000,
    pick_up=2_000,
    pick_up_warm_up=200,
    per_s=200,
    exchanges=200,
    backlogs=(1_000, 1_000_000),
    memory=1_000_000,
    redis_memory=100_000,
    stored=100_000,
    idle_s=20.0,
    redis_idle_s=60.0,
)
QUICK = Sizes(
    add_alone=400,
    add_concurrent=5_000,
    add_bulk=20_000,
    huey_add=400,
    process={
        ("loop", 1): 500,
        ("loop", 10): 4_000,
        ("loop", 100): 10_000,
        ("loop", 1000): 10_000,
        ("thread", 1): 500,
        ("thread", 10): 2_000,
        ("thread", 100): 5_000,
        ("thread", 1000): 5_000,
        ("process", 1): 300,
        ("process", 10): 1_000,
    },
    huey_process=1_000,
    bullmq_python_process=1_000,
    pick_up=500,
    pick_up_warm_up=100,
    per_s=200,
    exchanges=50,
    backlogs=(1_000, 100_000),
    memory=50_000,
    redis_memory=10_000,
    stored=20_000,
    idle_s=5.0,
    redis_idle_s=15.0,
    beyond=0.2,
)
