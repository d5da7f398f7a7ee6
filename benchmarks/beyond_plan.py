"""What is measured beyond the no-op job: work, payloads, switches, rates, weights, cold starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import msgspec

from benchmarks.cases import Case
from benchmarks.measurements import Measurements
from benchmarks.order import Order, Peer
from benchmarks.rows import Group, rate, row

AT_ONCE = 100
CPU_MS = 5.0
PAYLOADS = (100, 1_000, 50_000)
RATES = (("pickup-slow", 10, 200, 20), ("pickup-fast", 2_000, 10_000, 1_000))
"""Jobs per second, how many samples, and how many before."""
SLOW_JOBS = 5_000
"""Of peers whose jobs would take too long; the rate does not depend on their number."""

_SWITCHES = (
    ("as delivered", Case(name="plain"), None),
    ("events: outcomes only", Case(name="outcomes", told="outcomes"), "no such switch"),
    ("events: none", Case(name="no events", told="none"), "no such switch"),
    ("completed jobs not kept", Case(name="not kept", kept=False), None),
    ("with a small result", Case(name="result", returns=True), None),
    ("with a log line", Case(name="log", logs=True), None),
    ("with progress, once", Case(name="progress", progresses=True), None),
    ("with limits that are never reached", Case(name="limits", limited=True), None),
)
"""What is said or switched, as which case, and why BullMQ has no figure."""
_NODE: tuple[Peer, ...] = ("bullmq_node",)
_ALL: tuple[Peer, ...] = ("huey", "bullmq_node", "bullmq_python")
_SLOW: tuple[Peer, ...] = ("huey", "bullmq_python")
_SANDBOXED = "BullMQ: sandboxed processors, its child processes"
_FEW = "p99.9 of so few is the worst of them"


def groups(of: Measurements) -> list[Group]:
    """Return all groups."""
    return [
        *(_waiting(of, wait_ms) for wait_ms in (1.0, 10.0)),
        _computing(of),
        _several(of),
        *(_carrying(of, size) for size in PAYLOADS),
        _switches(of),
        *(_pick_up(of, *one) for one in RATES),
        *([_weighed(of, "waiting", "stored")] if of.section.store == "sqlite" else []),
        _weighed(of, "delayed", "weight-delayed"),
        _weighed(of, "completed", "weight-completed"),
        _cold(of),
    ]


def _order(
    of: Measurements,
    work: str,
    jobs: int,
    warm_up: int,
    case: Case | None = None,
    *,
    concurrency: int = AT_ONCE,
) -> Order:
    order = of.order(work, round(jobs * of.sizes.beyond), warm_up, concurrency=concurrency)
    return msgspec.structs.replace(order, case=case or Case())


def _beside(of: Measurements, ours: Order, peers: Sequence[Peer]) -> list[Order]:
    """Return the same of some peers; the slow ones have fewer jobs."""
    fewer = round(SLOW_JOBS * of.sizes.beyond)
    slow = _SLOW if of.sizes.jobs(fewer) < ours.jobs else ()
    return [one for one in of.same(ours, jobs=dict.fromkeys(slow, fewer)) if one.peer in peers]


def _waiting(of: Measurements, wait_ms: float) -> Group:
    ours = _order(
        of, "cases.backlog", 20_000, AT_ONCE, Case(name=f"wait {wait_ms:g} ms", wait_ms=wait_ms)
    )
    title = f"process, each awaits {wait_ms:g} ms, {AT_ONCE} at once"
    return of.group(f"wait-{wait_ms:g}", rate(title, ours, _beside(of, ours, _ALL)))


def _computing(of: Measurements) -> Group:
    cores = os.cpu_count() or 1
    case = Case(name=f"cpu {CPU_MS:g} ms", cpu_ms=CPU_MS)
    ours = _order(of, "cases.backlog", 1_000, 20, case, concurrency=cores)
    title = f"process, each computes for {CPU_MS:g} ms, {cores} child processes"
    note = _SANDBOXED if of.section.store == "redis" else None
    return of.group("cpu", rate(title, ours, _beside(of, ours, _NODE), note=note))


def _several(of: Measurements) -> Group:
    ours = _order(of, "several.workers", 30_000, 1_000)
    theirs = _beside(of, ours, _NODE)
    title = f"process, {AT_ONCE} at once in each of"
    return of.group(
        "workers",
        rate(f"{title} 1 worker process", ours, theirs, value="one_per_s"),
        rate(f"{title} 2 worker processes", ours, theirs, value="two_per_s"),
        row("… times as many", "×", "ratio", ours, theirs, better="more"),
    )


def _carrying(of: Measurements, size: int) -> Group:
    jobs = 10_000 if size <= 1_000 else 2_000
    ours = _order(of, "cases.carried", jobs, 100, Case(name=f"{size} B", payload_bytes=size))
    ours = msgspec.structs.replace(ours, producers=AT_ONCE)
    theirs = _beside(of, ours, _ALL)
    note = f"Huey: one producer; Toril: {AT_ONCE}" if of.section.store == "sqlite" else None
    return of.group(
        f"payload-{size}",
        rate(f"add, payload of {size:,} bytes", ours, theirs, value="add_per_s", note=note),
        rate(f"process, payload of {size:,} bytes, {AT_ONCE} at once", ours, theirs),
    )


def _switches(of: Measurements) -> Group:
    rows = []
    for title, case, missing in _SWITCHES:
        ours = _order(of, "cases.backlog", 20_000, AT_ONCE, case)
        theirs = [] if missing else _beside(of, ours, _NODE)
        note = None if missing is None or of.section.store == "sqlite" else f"BullMQ: {missing}"
        rows.append(rate(f"process, {AT_ONCE} at once, {title}", ours, theirs, note=note))
    return of.group("switches", *rows)


def _pick_up(of: Measurements, name: str, per_s: int, samples: int, warm_up: int) -> Group:
    ours = of.order("pickup.two_processes", round(samples * of.sizes.beyond), warm_up, least=20)
    ours = msgspec.structs.replace(ours, per_s=per_s)
    named = (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
    theirs = of.same(ours)
    rows = [
        row(
            f"pick-up at {per_s:,} jobs/s, two processes, {word}",
            "ms",
            value,
            ours,
            theirs,
            note=_FEW if word == "p99.9" and ours.jobs < 1_000 else None,
        )
        for word, value in named
    ]
    return of.group(name, *rows)


def _weighed(
    of: Measurements, state: Literal["waiting", "delayed", "completed"], name: str
) -> Group:
    case = Case(name=state, state=state)
    ours = _order(of, "storing.weighed", 50_000, 10_000, case)
    theirs = _beside(of, ours, _NODE)
    where = "the file" if of.section.store == "sqlite" else "Redis' memory"
    title = f"bytes in {where} per {state} job"
    return of.group(name, row(title, "bytes", "bytes_per_job", ours, theirs), once=True)


def _cold(of: Measurements) -> Group:
    ours = _order(of, "starting.cold", 10, 0)
    theirs = _beside(of, ours, _NODE)
    return of.group(
        "start",
        row("start of the interpreter alone", "ms", "bare_ms", ours, theirs),
        row("import of the library, in a fresh process", "ms", "import_ms", ours, theirs),
        row("import toril alone", "ms", "bare_import_ms", ours),
        row("toril --help, from start to end", "ms", "help_ms", ours),
        row(
            "a worker process, from its start to its first job done", "ms", "first_ms", ours, theirs
        ),
    )
