"""What is measured on Redis, beside BullMQ in its two languages."""

from __future__ import annotations

import msgspec

from benchmarks.measurements import Measurements
from benchmarks.order import Place
from benchmarks.rows import Group, rate, row
from benchmarks.sizes import CONCURRENCIES, PRODUCERS

EVENTS = 10_000
"""Events that a queue's stream keeps by default, about: two of each job that is added."""

_IN_CALLS = "Toril: one call; BullMQ: calls of 1,000"
_ASYNC_ONLY = "BullMQ's processors are async functions: its figures stand beside the async task"
_WORKER_EACH = (
    "in all: a BullMQ worker serves one queue, so {queues} of them in a process; Toril has one"
)


def groups(of: Measurements) -> list[Group]:
    """Return all groups."""
    return [
        of.add_alone(),
        _add_concurrent(of),
        _add_bulk(of),
        *(_process(of, concurrency) for concurrency in CONCURRENCIES),
        of.pick_up("pickup-one", "one_process", "one process"),
        of.pick_up("pickup-two", "two_processes", "two processes"),
        of.claim(),
        _stored(of),
        of.resident_memory(of.sizes.redis_memory, compared=True),
        _idle(of, "idle-one", 1),
        _idle(of, "idle-many", of.sizes.idle_queues),
    ]


def _add_concurrent(of: Measurements) -> Group:
    ours = of.order("adding.concurrent", of.sizes.add_concurrent, 1_000, producers=PRODUCERS)
    line = rate(f"add, {PRODUCERS} producers in a process", ours, of.same(ours))
    return of.group("add-concurrent", line)


def _add_bulk(of: Measurements) -> Group:
    ours = of.order("adding.bulk", of.sizes.add_bulk, 2_000)
    line = rate(f"add in bulk, {ours.jobs:,} jobs", ours, of.same(ours), note=_IN_CALLS)
    return of.group("add-bulk", line)


def _process(of: Measurements, concurrency: int) -> Group:
    ours = of.backlog("loop", concurrency)
    theirs = of.same(ours, jobs={"bullmq_python": of.sizes.bullmq_python_process})
    notes: dict[Place, str] = {"thread": _ASYNC_ONLY, "process": _ASYNC_ONLY}
    return of.process(concurrency, {"loop": theirs}, notes)


def _stored(of: Measurements) -> Group:
    """What a job that waits takes in the server; the stream of events is full before."""
    ours = of.order("storing.backlog", of.sizes.stored, EVENTS)
    title = f"memory of Redis per waiting job, {ours.jobs:,} of them"
    line = row(title, "bytes", "bytes_per_job", ours, of.same(ours))
    return of.group("stored", line, once=True)


def _idle(of: Measurements, name: str, queues: int) -> Group:
    ours = msgspec.structs.replace(
        of.order("idling.worker", 0, 100, least=0),
        queues=queues,
        duration_s=of.sizes.seconds(of.sizes.redis_idle_s),
    )
    # One job at once is BullMQ's default; more cost its Python worker more while it is idle.
    theirs = [msgspec.structs.replace(order, concurrency=1) for order in of.same(ours)]
    what = "1 queue" if queues == 1 else f"{queues} queues"
    note = None if queues == 1 else _WORKER_EACH.format(queues=queues)
    named = (
        ("CPU seconds", "s", "cpu_s_per_min"),
        ("commands sent to Redis", "commands", "sent_per_min"),
        ("commands in Redis, those of scripts too,", "commands", "calls_per_min"),
    )
    rows = [
        row(f"idle with {what}, {word} per minute", unit, value, ours, theirs, note=note)
        for word, unit, value in named
    ]
    return of.group(name, *rows, once=True)
