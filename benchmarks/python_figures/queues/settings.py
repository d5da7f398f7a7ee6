"""What a process of a queue is told through its environment."""

from __future__ import annotations

import os

from benchmarks.loop import loop_factory

URL = os.environ["BENCH_URL"]
"""Of the Redis server; the folder of its own for a queue on a file."""
PEER = os.environ["BENCH_PEER"]
CONCURRENCY = int(os.environ["BENCH_CONCURRENCY"])
DURABILITY = os.environ["BENCH_DURABILITY"]
CPUS = os.cpu_count() or 1


def processes_for(concurrency: int) -> int:
    """Return how many worker processes a queue gets that advises one for each core."""
    return min(concurrency, CPUS)


def use_uvloop() -> None:
    """Have whoever makes an event loop from here on get uvloop's."""
    if loop_factory() is not None:
        import uvloop

        uvloop.install()
