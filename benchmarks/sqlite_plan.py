"""What is measured on SQLite, beside Huey."""

from __future__ import annotations

import msgspec

from benchmarks.measurements import Measurements
from benchmarks.order import Order, Place
from benchmarks.rows import Group, rate, row
from benchmarks.sizes import CONCURRENCIES, PRODUCERS

HUEY_MOST = 100
"""Threads of a Huey consumer beyond which it is not measured: they share one connection."""

_ONE_LOCK = "Huey: not measured, its producers in a process take turns at one connection"
_SELDOM = "an idle Huey looks for jobs ever more seldom, every 10 s in the end"


def durable_groups(of: Measurements) -> list[Group]:
    """Return the groups to which it matters when a commit counts."""
    return [
        of.add_alone(),
        _add_concurrent(of),
        _add_bulk(of),
        *(_process(of, concurrency) for concurrency in CONCURRENCIES),
        of.pick_up("pickup-one", "one_process", "one process"),
        of.pick_up("pickup-two", "two_processes", "two processes"),
        of.claim(),
    ]


def worker_groups(of: Measurements) -> list[Group]:
    """Return the groups to which it does not."""
    return [of.resident_memory(of.sizes.memory, compared=False), _idle(of)]


def _add_concurrent(of: Measurements) -> Group:
    ours = of.order("adding.concurrent", of.sizes.add_concurrent, 1_000, producers=PRODUCERS)
    line = rate(f"add, {PRODUCERS} producers in a process", ours, note=_ONE_LOCK)
    return of.group("add-concurrent", line)


def _add_bulk(of: Measurements) -> Group:
    ours = of.order("adding.bulk", of.sizes.add_bulk, 2_000)
    loop = of.order("adding.alone", of.sizes.huey_add, 100)
    note = f"Huey has no bulk add: a loop over {loop.jobs:,} jobs"
    title = f"add in bulk, {ours.jobs:,} in a call"
    return of.group("add-bulk", rate(title, ours, of.same(loop), note=note))


def _process(of: Measurements, concurrency: int) -> Group:
    if concurrency > HUEY_MOST:
        beyond = f"Huey: not measured beyond {HUEY_MOST} threads"
        return of.process(concurrency, {}, {"loop": beyond, "thread": beyond})
    ours = of.backlog("loop", concurrency)
    theirs = of.same(ours, jobs={"huey": of.sizes.huey_process})
    # A Huey consumer of threads has no counterpart to tasks in child processes.
    beside: dict[Place, list[Order]] = {"loop": theirs, "thread": theirs}
    return of.process(concurrency, beside, {})


def _idle(of: Measurements) -> Group:
    ours = msgspec.structs.replace(
        of.order("idling.worker", 0, 100, least=0), duration_s=of.sizes.seconds(of.sizes.idle_s)
    )
    line = row(
        "idle, CPU seconds per minute", "s", "cpu_s_per_min", ours, of.same(ours), note=_SELDOM
    )
    return of.group("idle", line)
