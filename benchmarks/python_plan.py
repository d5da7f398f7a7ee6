"""The queues for Python in the groups of a plan: they have their turns beside everybody else.

Their figures are lines of their own, with a heading: they are the columns of a table in which each
queue is a row. So many are not readable as columns of the main table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from benchmarks.measurements import Measurements
from benchmarks.order import Order, Peer, Place, Store
from benchmarks.python_peers import PYTHON_PEERS, PythonPeer
from benchmarks.rows import Group, Row, rate, row
from benchmarks.sizes import PRODUCERS, Sizes

HEADINGS: Mapping[str, str] = {
    "add-alone": "add, one by one",
    "add-concurrent": "add, 100 at a time",
    "add-bulk": "add in bulk",
    "process-1": "process, 1 at once",
    "process-10": "process, 10 at once",
    "process-100": "process, 100 at once",
    "pickup-two": "pick-up",
}
"""What is measured of them, by group."""
ON_POSTGRESQL = ("add-alone", "add-concurrent", "add-bulk", "process-100", "pickup-two")
"""The groups of the section in which there is nobody else."""
MOST_JOBS: Mapping[str, int] = {
    "adding.concurrent": 5_000,
    "adding.bulk": 20_000,
    "processing.backlog": 5_000,
}
"""Of one run, by what is measured: the rate does not depend on it, and some of them are slow."""
PERCENTILES = (("p50", "p50_ms"), ("p99", "p99_ms"))

_BESIDE = "beside queues for Python"
_ADDING: Mapping[str, Callable[[Sizes], tuple[str, int, int]]] = {
    "add-alone": lambda sizes: ("adding.alone", sizes.add_alone, 100),
    "add-concurrent": lambda sizes: ("adding.concurrent", sizes.add_concurrent, 1_000),
    "add-bulk": lambda sizes: ("adding.bulk", sizes.add_bulk, 2_000),
}
"""Work, jobs and warm-up of Toril's, as in the plans of the stores: it has its turn once."""


def beside(groups: Sequence[Group], of: Measurements, peers: Sequence[Peer]) -> list[Group]:
    """Return the groups, with those peers in all in which they are measured.

    Parameters:
        groups: Of one section.
        of: What makes the orders of that section.
        peers: Which. Those of another store, or durability, are passed over.
    """
    store: Store = of.section.store
    here = {
        peer: it
        for peer, it in PYTHON_PEERS.items()
        if peer in peers and it.store == store and it.durability in (None, of.durability)
    }
    if not here:
        return list(groups)
    return [
        replace(group, rows=[*group.rows, *_rows(group.name, of, here)])
        if group.name in HEADINGS
        else group
        for group in groups
    ]


def postgresql_groups(of: Measurements, peers: Sequence[Peer]) -> list[Group]:
    """Return the groups of those on PostgreSQL: none if none of the peers is."""
    groups = beside([of.group(name) for name in ON_POSTGRESQL], of, peers)
    return [group for group in groups if group.rows]


def _rows(group: str, of: Measurements, peers: Mapping[Peer, PythonPeer]) -> list[Row]:
    heading = HEADINGS[group]
    if group.startswith("process-"):
        return _processing(int(group.removeprefix("process-")), of, peers, heading)
    if group == "pickup-two":
        ours = of.order(
            "pickup.two_processes", of.sizes.pick_up, of.sizes.pick_up_warm_up, least=20
        )
        theirs = _same(ours, peers)
        return [
            replace(
                row(f"{heading} {word}, {_BESIDE}", "ms", value, ours, theirs),
                heading=f"{heading} {word}, ms",
            )
            for word, value in PERCENTILES
        ]
    ours = of.order(*_ADDING[group](of.sizes), producers=_producers(group))
    line = rate(f"{heading}, {_BESIDE}", ours, _same(ours, peers))
    return [replace(line, heading=heading)]


def _processing(
    concurrency: int, of: Measurements, peers: Mapping[Peer, PythonPeer], heading: str
) -> list[Row]:
    """Coroutines beside our async task, functions beside our task in threads."""
    places: tuple[tuple[Place, str], ...] = (("loop", "coroutines"), ("thread", "functions"))
    rows = []
    for place, tasks in places:
        fitting = {
            peer: it
            for peer, it in peers.items()
            if it.tasks == tasks and concurrency <= it.most_at_once
        }
        if of.section.ours is not None and not fitting:
            continue  # nobody would stand beside it
        ours = of.backlog(place, concurrency)
        line = rate(f"{heading}, {tasks}, {_BESIDE}", ours, _same(ours, fitting))
        rows.append(replace(line, heading=heading))
    return rows


def _same(ours: Order, peers: Mapping[Peer, PythonPeer]) -> list[Order]:
    """Return the same measurement of each peer that has a way to do it."""
    most = MOST_JOBS.get(ours.work, ours.jobs)
    return [
        msgspec.structs.replace(
            ours,
            peer=peer,
            store=it.store,
            jobs=max(10, round(min(ours.jobs, most) * _share(it, ours))),
        )
        for peer, it in peers.items()
        if ours.work in it.works
    ]


def _share(it: PythonPeer, ours: Order) -> float:
    return it.jobs_share if ours.work == "processing.backlog" else 1.0


def _producers(group: str) -> int:
    return PRODUCERS if group == "add-concurrent" else 1
